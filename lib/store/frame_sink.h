// Where features go: a part of a frame store, a Kaldi table, or an array with its lengths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/matrix.h"
#include "store/frame_store.h"

namespace retort {

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void add(const std::string& id, int64_t samples, const Matrix& frames) = 0;
  // Nothing is visible before. `bad` counts skipped utterances by reason.
  virtual void commit(const Json& bad) = 0;
};

// True where `output` names a store: not a wspecifier, and not FILE.npy (which has FILE.len beside it).
bool is_store_output(const std::string& output);

// `info` describes the frames; its dtype is of a store alone, others hold f32. Whether a store's part is
// there already (part_is_done) the caller asks. `keep_free`: as of FramePartWriter.
std::unique_ptr<FrameSink> make_frame_sink(const std::string& output, const StoreInfo& info,
                                           const Shard& shard, bool overwrite, int64_t keep_free = 0);

}  // namespace retort
