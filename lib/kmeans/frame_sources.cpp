#include "kmeans/frame_sources.h"

#include <algorithm>

#include "base/error.h"
#include "kmeans/kmeans_init.h"

namespace retort {
namespace {

std::string frame_name(const std::string& id, int64_t frame) {
  return fmt::format("{} frame {}", id, frame);
}

}  // namespace

StoreFrames::StoreFrames(const FrameStore& store) : store_(store) {
  if (store.info().kind != StoreKind::features) fail("the store holds labels, features were expected");
}

std::string StoreFrames::row_name(int64_t row) const {
  const std::vector<StoredUtterance>& utterances = store_.utterances();
  const auto after =
      std::upper_bound(utterances.begin(), utterances.end(), row,
                       [](int64_t wanted, const StoredUtterance& one) { return wanted < one.start; });
  const StoredUtterance& utterance = *(after - 1);
  return frame_name(utterance.id, row - utterance.start);
}

void GatheredFrames::add(const std::string& id, const Matrix& frames) {
  begins_.emplace_back(id, this->frames());
  values_.insert(values_.end(), frames.values().begin(), frames.values().end());
}

void GatheredFrames::read_rows(int64_t first, int64_t count, float* out) const {
  std::copy_n(values_.begin() + first * dim_, count * dim_, out);
}

std::string GatheredFrames::row_name(int64_t row) const {
  const auto after =
      std::upper_bound(begins_.begin(), begins_.end(), row,
                       [](int64_t wanted, const auto& begin) { return wanted < begin.second; });
  return frame_name((after - 1)->first, row - (after - 1)->second);
}

SampledFrames::SampledFrames(const FrameSource& source, std::vector<int64_t> rows)
    : source_(source), rows_(std::move(rows)), values_(gather_rows(source, rows_)) {}

void SampledFrames::read_rows(int64_t first, int64_t count, float* out) const {
  std::copy_n(values_.data() + first * dim(), count * dim(), out);
}

std::string SampledFrames::row_name(int64_t row) const {
  return source_.row_name(rows_[static_cast<std::size_t>(row)]);
}

}  // namespace retort
