#include "kmeans/frame_sources.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kmeans/kmeans_init.h"

namespace retort {
namespace {

// By the first rows of utterances.
FramePlace place_in(const std::vector<std::pair<std::string, int64_t>>& begins, int64_t row) {
  const auto after =
      std::upper_bound(begins.begin(), begins.end(), row,
                       [](int64_t wanted, const auto& begin) { return wanted < begin.second; });
  return {&(after - 1)->first, row - (after - 1)->second};
}

}  // namespace

void GatheredFrames::add(const std::string& id, const Matrix& frames) {
  begins_.emplace_back(id, this->frames());
  values_.insert(values_.end(), frames.values().begin(), frames.values().end());
}

void GatheredFrames::read_rows(int64_t first, int64_t count, float* out) const {
  std::copy_n(values_.begin() + first * dim_, count * dim_, out);
}

FramePlace GatheredFrames::place(int64_t row) const {
  return place_in(begins_, row);
}

ReservoirFrames::ReservoirFrames(int64_t dim, int64_t wanted, uint64_t seed)
    : rows_(wanted, dim), seed_(seed) {}

void ReservoirFrames::add(const std::string& id, const Matrix& frames) {
  begins_.emplace_back(id, seen_);
  for (int64_t i = 0; i < frames.rows(); ++i, ++seen_) {
    Slot slot{training_key(seed_, seen_), seen_, std::ssize(slots_)};
    if (slot.place == rows_.rows()) {
      if (slots_.front() < slot) continue;
      std::pop_heap(slots_.begin(), slots_.end());
      slot.place = slots_.back().place;
      slots_.pop_back();
    }
    std::copy_n(frames.row(i).data(), dim(), rows_.row(slot.place).data());
    slots_.push_back(slot);
    std::push_heap(slots_.begin(), slots_.end());
  }
}

void ReservoirFrames::finish() {
  std::sort(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) { return a.row < b.row; });
}

void ReservoirFrames::read_rows(int64_t first, int64_t count, float* out) const {
  for (int64_t i = 0; i < count; ++i)
    std::copy_n(rows_.row(slots_[static_cast<std::size_t>(first + i)].place).data(), dim(), out + i * dim());
}

FramePlace ReservoirFrames::place(int64_t row) const {
  return place_in(begins_, slots_[static_cast<std::size_t>(row)].row);
}

SampledFrames::SampledFrames(const FrameSource& source, std::vector<int64_t> rows, int threads)
    : source_(source), rows_(std::move(rows)), values_(gather_rows(source, rows_, threads)) {}

void SampledFrames::read_rows(int64_t first, int64_t count, float* out) const {
  std::copy_n(values_.data() + first * dim(), count * dim(), out);
}

FramePlace SampledFrames::place(int64_t row) const {
  return source_.place(rows_[static_cast<std::size_t>(row)]);
}

void PickedFrames::read_rows(int64_t first, int64_t count, float* out) const {
  for (int64_t i = 0; i < count; ++i)
    source_.read_rows(rows_[static_cast<std::size_t>(first + i)], 1, out + i * dim());
}

FramePlace PickedFrames::place(int64_t row) const {
  return source_.place(rows_[static_cast<std::size_t>(row)]);
}

FeatureNorm measure_norm(const FrameSource& source, const std::string& kind) {
  FeatureNorm norm{kind, {}, {}};
  if (kind != "meanvar") return norm;
  constexpr int64_t block = 1024;
  const int64_t dim = source.dim();
  std::vector<float> rows(static_cast<std::size_t>(block * dim));
  // Around the first frame, so that the variance is no difference of two large numbers.
  std::vector<float> around(static_cast<std::size_t>(dim));
  std::vector<double> sums(around.size()), squares(around.size());
  for (int64_t first = 0; first < source.frames(); first += block) {
    const int64_t count = std::min(block, source.frames() - first);
    read_finite_rows(source, first, count, rows.data());
    if (first == 0) std::copy_n(rows.begin(), dim, around.begin());
    for (int64_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j < around.size(); ++j) {
        const double value = static_cast<double>(rows[static_cast<std::size_t>(i * dim) + j]) - around[j];
        sums[j] += value;
        squares[j] += value * value;
      }
  }
  const auto frames = static_cast<double>(source.frames());
  for (std::size_t j = 0; j < around.size(); ++j) {
    const double mean = sums[j] / frames;
    const double variance = squares[j] / frames - mean * mean;
    norm.mean.push_back(static_cast<float>(around[j] + mean));
    norm.scale.push_back(variance > 0 ? static_cast<float>(1 / std::sqrt(variance)) : 1.0f);
  }
  return norm;
}

}  // namespace retort
