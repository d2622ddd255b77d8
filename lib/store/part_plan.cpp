#include "store/part_plan.h"

#include "base/hash.h"
#include "store/frame_values.h"
#include "store/npy.h"
#include "store/part_files.h"

namespace retort {

void PartPlan::add(const std::string& id, int64_t samples, int64_t frames) {
  static const std::string some_hash = hash_text("");  // all are of the same length
  list_bytes_ += static_cast<int64_t>(utterance_line({id, frames_, frames, samples, some_hash}).size());
  frames_ += frames;
  ++utterances_;
}

int64_t PartPlan::bytes() const {
  const PartSidecar sidecar{info_, shard_, utterances_, frames_, hash_text(""), hash_text("")};
  const auto header = static_cast<int64_t>(part_header(info_, frames_).size());
  const auto described = static_cast<int64_t>(sidecar_json(sidecar, Json::object()).dump(2).size() + 1);
  const auto value_bytes = static_cast<int64_t>(NpyHeader{part_descr(info_), false, {}, 0}.item_size());
  const int64_t rows = frames_ * part_columns(info_) * value_bytes;
  int64_t codebook = 0;
  if (info_.product) {
    const Matrix& centroids = info_.product->centroids();
    const auto begin = npy_header("<f4", {centroids.rows(), centroids.columns()}).size();
    codebook = static_cast<int64_t>(begin + centroids.values().size_bytes());
  }
  return header + rows + list_bytes_ + described + codebook;
}

Json PartPlan::to_json() const {
  return {{"utterances", utterances_}, {"frames", frames_}, {"files", files()}, {"bytes", bytes()}};
}

}  // namespace retort
