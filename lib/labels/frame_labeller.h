// Frames to the numbers of their nearest centroids, or their distances from all, and these to where they were
// asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nearest/assigner.h"
#include "store/codebook.h"
#include "store/frame_sink.h"
#include "store/frame_source.h"
#include "store/part_plan.h"
#include "units/unit_sink.h"

namespace retort {

struct LabelOutput {
  std::string path;        // as of a UnitSink; with `soft` of a FrameSink
  UnitForm form;           // of labels
  bool soft = false;       // squared distances from all centroids, in place of labels
  bool overwrite = false;  // replace what is there
  int64_t keep_free = 0;   // bytes of a store's disk to leave free: stop before fewer are left
};

// A usage Error where the path has no place for what is asked for.
void check_label_output(const LabelOutput& output);

// Labels utterances one after the other.
class FrameLabeller {
 public:
  // `assigner` is of the codebook's centroids, whatever its engine: no label depends on it. Null with
  // output.soft. `threads` 0: all.
  FrameLabeller(Codebook codebook, LabelOutput output, std::unique_ptr<Assigner> assigner, int threads);

  int64_t dim() const { return codebook_.dim(); }

  // What the part of a store will hold: nothing yet, the caller adds the utterances. Labels of which runs are
  // joined will be fewer. Throws as begin() does for frames that are not the codebook's.
  PartPlan plan(const FrameOrigin& origin, int64_t dim, const Shard& shard) const;
  // To label a frame on this machine, or to find its distances; measured.
  double seconds_per_frame() const;

  // Opens the output for frames of this origin; false where its part is there already. Throws where the
  // frames are not those that the codebook was made from, or the output is of another job.
  bool begin(const FrameOrigin& origin, int64_t dim, const Shard& shard);

  // An utterance's frames (frames, dim), from `samples` samples at 16 kHz. A frame that is not finite is an
  // Error that names it.
  void add(const std::string& id, int64_t samples, const Matrix& frames);
  // The same of rows of a source, which are read a block at a time.
  void add(const StoredUtterance& utterance, const FrameSource& source);

  // Nothing is visible before. `bad` counts skipped utterances by reason.
  void commit(const Json& bad);

 private:
  StoreInfo info_of(const FrameOrigin& origin) const;
  Matrix normalised(const std::string& id, int64_t first_frame, Matrix frames) const;
  void assign(const Matrix& frames, int32_t* labels);
  void write(const std::string& id, int64_t samples, const std::vector<int32_t>& labels);

  Codebook codebook_;
  LabelOutput output_;
  int threads_;
  std::unique_ptr<Assigner> assigner_;
  std::unique_ptr<UnitSink> labels_;      // where they go
  std::unique_ptr<FrameSink> distances_;  // where these go
};

}  // namespace retort
