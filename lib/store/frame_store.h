// Frame stores: sharded features and labels, whole parts only, with a sidecar that says what made them
// (docs/formats.md). A part is part-I-of-N.{npy,jsonl,json}; the .json is written last and makes the part
// count.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/matrix.h"
#include "base/shard.h"

namespace retort {

class ProductCodebook;

// Where frames come from: enough to tell whether two sets of frames may be used together.
struct FrameOrigin {
  std::string corpus;  // hash of the whole corpus, "" where unknown (plain arrays)
  std::string model;   // content hash of the model; "mfcc" or "fbank" with its options for those; "" unknown
  std::string layer;   // canonical layer name; "mfcc", "fbank"
  std::string wave_norm;          // of model/normalise.h; "... (forced)" where it was not the model's own
  std::string batching;           // "exact", or what was done instead: "compat 8"
  int hop = 320;                  // samples at 16 kHz from one frame to the next
  std::string precision = "f32";  // that the model was computed in

  Json to_json() const;
  static FrameOrigin from_json(const Json& json, const std::string& where);
  bool operator==(const FrameOrigin&) const = default;
};

enum class StoreKind { features, labels };

// What all parts of a store have in common; it is compared whole when parts are put together or a job is
// rerun.
struct StoreInfo {
  StoreKind kind = StoreKind::features;
  std::string dtype = "f32";  // features: f32, f16, bf16, i8, pq; labels: u16, i32
  int64_t dim = 0;            // features: values per frame; labels: 1
  FrameOrigin origin;
  std::string codebook;                            // labels, distances, pq: content hash of the codebook
  int64_t clusters = 0;                            // labels, pq: K
  int64_t subspaces = 0;                           // pq: M
  std::shared_ptr<const ProductCodebook> product;  // pq: what its values stand for; not in the JSON
  bool dedup = false;                              // labels: runs of the same label are written once

  Json to_json() const;
  static StoreInfo from_json(const Json& json, const std::string& where);
};

struct StoredUtterance {
  std::string id;
  int64_t start = 0;  // first row in its part
  int64_t frames = 0;
  int64_t samples = 0;  // at 16 kHz
  std::string hash;     // of its rows' bytes as written
};

// Writes one part. Nothing is visible before commit(); without it nothing stays.
class FramePartWriter {
 public:
  // Writing throws where less than `keep_free` bytes of the disk are left free (base/disk.h).
  FramePartWriter(const std::filesystem::path& folder, const StoreInfo& info, const Shard& shard,
                  int64_t keep_free = 0);
  ~FramePartWriter();

  // Rows of one utterance, converted to the store's dtype. Not-finite values throw, named by utterance and
  // frame.
  void add_features(const std::string& id, int64_t samples, const Matrix& frames);
  void add_labels(const std::string& id, int64_t samples, std::span<const int32_t> labels);
  // `bad` counts skipped utterances by reason; it goes into the sidecar.
  void commit(const Json& bad = Json::object());

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True if this part is there, whole as far as sizes and its list tell, and was made by the same job
// (StoreInfo equal), so that a rerun has nothing to do; a part that is not whole is to be made again. Throws
// an Error naming the difference if the part or the store's first one was made by another job, or if the
// folder holds parts of another shard count; with `overwrite` removes those instead and says false.
bool part_is_done(const std::filesystem::path& folder, const StoreInfo& info, const Shard& shard,
                  bool overwrite);

// All parts of a whole store, read as one sequence of rows.
class FrameStore {
 public:
  // Refuses a folder where a part is missing, of other length than its sidecar says, or of another store.
  static FrameStore open(const std::filesystem::path& folder);
  // A plain (frames, dim) .npy; one nameless utterance, or those of FILE.len beside it.
  static FrameStore open_npy(const std::filesystem::path& file);

  const StoreInfo& info() const { return info_; }
  // Utterances of all parts in order; `start` counts rows of the whole store.
  const std::vector<StoredUtterance>& utterances() const { return utterances_; }
  int64_t frames() const { return frames_; }
  const StoredUtterance* find(const std::string& id) const;
  // Same for the same utterances and values, however they were sharded.
  std::string hash() const;

  // Rows [first, first + count) of the whole store as f32 into `out` (count * dim values).
  void read_rows(int64_t first, int64_t count, float* out) const;
  // Where these rows lie one after the other as f32, mapped from the file; null where they do not.
  const float* rows_in_place(int64_t first, int64_t count) const;
  // As they lie in the files.
  int64_t bytes_per_row() const;
  // Gives back the memory that these rows' files take in this process; they can be read again.
  void forget_rows(int64_t first, int64_t count) const;
  Matrix read_features(const StoredUtterance& utterance) const;
  std::vector<int32_t> read_labels(const StoredUtterance& utterance) const;

 private:
  struct Part;
  StoreInfo info_;
  std::vector<std::shared_ptr<const Part>> parts_;
  std::vector<StoredUtterance> utterances_;
  std::unordered_map<std::string, std::size_t> by_id_;
  int64_t frames_ = 0;
};

// True where `folder` looks like a frame store (holds part-*.json).
bool is_frame_store(const std::filesystem::path& folder);

}  // namespace retort
