#include "labels/frame_labeller.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/log.h"
#include "store/not_finite.h"

namespace retort {

FrameLabeller::FrameLabeller(Codebook codebook, LabelOutput output, const SearchOptions& search)
    : codebook_(std::move(codebook)),
      output_(std::move(output)),
      assigner_(make_assigner(codebook_.centroids, search.engine, search.device, search.threads)) {}

bool FrameLabeller::begin(const FrameOrigin& origin, int64_t dim, const Shard& shard) {
  require_same_features(codebook_, origin, dim);
  StoreInfo info;
  info.kind = StoreKind::labels;
  info.dtype = codebook_.clusters() <= 65536 ? "u16" : "i32";
  info.dim = 1;
  info.origin = origin;
  info.codebook = codebook_.hash();
  info.clusters = codebook_.clusters();
  info.dedup = output_.form.dedup;
  if (is_unit_store(output_.path) && part_is_done(output_.path, info, shard, output_.overwrite)) {
    log_info("label", "{} is there already: nothing to do",
             (std::filesystem::path(output_.path) / shard.stem()).string());
    return false;
  }
  sink_ = make_unit_sink(output_.path, output_.form, info, shard, output_.overwrite);
  return true;
}

void FrameLabeller::add(const std::string& id, int64_t samples, const Matrix& frames) {
  std::vector<int32_t> labels(static_cast<std::size_t>(frames.rows()));
  if (!labels.empty()) assign(id, 0, frames, labels.data());
  write(id, samples, labels);
}

void FrameLabeller::add(const StoredUtterance& utterance, const FrameSource& source) {
  constexpr int64_t block_rows = 8192;  // a plain array's only utterance is as long as the array
  std::vector<int32_t> labels(static_cast<std::size_t>(utterance.frames));
  for (int64_t first = 0; first < utterance.frames; first += block_rows) {
    Matrix block(std::min(block_rows, utterance.frames - first), source.dim());
    source.read_rows(utterance.start + first, block.rows(), block.data());
    assign(utterance.id, first, std::move(block), labels.data() + first);
  }
  write(utterance.id, utterance.samples, std::move(labels));
}

void FrameLabeller::assign(const std::string& id, int64_t first_frame, Matrix frames, int32_t* labels) {
  if (const int64_t row = first_not_finite_row(frames); row >= 0)
    fail("{}: frame {} holds a value that is not finite", id, first_frame + row);
  codebook_.norm.apply(frames.data(), frames.rows(), frames.columns());
  assigner_->assign(frames.data(), frames.rows(), labels, nullptr);
}

void FrameLabeller::write(const std::string& id, int64_t samples, const std::vector<int32_t>& labels) {
  sink_->add(id, samples, output_.form.dedup ? merged_runs(labels) : runs_of_one(labels));
}

void FrameLabeller::commit(const Json& bad) {
  sink_->commit(bad);
}

}  // namespace retort
