// Sources of frames for k-means: a store, frames gathered in memory, and a sample of another source.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kmeans/kmeans.h"
#include "store/frame_store.h"

namespace retort {

// All rows of a feature store, read as they are asked for.
class StoreFrames : public FrameSource {
 public:
  // Keeps a reference; refuses a store of labels.
  explicit StoreFrames(const FrameStore& store);

  int64_t frames() const override { return store_.frames(); }
  int64_t dim() const override { return store_.info().dim; }
  void read_rows(int64_t first, int64_t count, float* out) const override {
    store_.read_rows(first, count, out);
  }
  const float* rows_in_place(int64_t first, int64_t count) const override {
    return store_.rows_in_place(first, count);
  }
  std::string row_name(int64_t row) const override;

 private:
  const FrameStore& store_;
};

// Frames of utterances, kept in memory in the order they were added.
class GatheredFrames : public FrameSource {
 public:
  explicit GatheredFrames(int64_t dim) : dim_(dim) {}
  void add(const std::string& id, const Matrix& frames);

  int64_t frames() const override { return static_cast<int64_t>(values_.size()) / dim_; }
  int64_t dim() const override { return dim_; }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t) const override { return values_.data() + first * dim_; }
  std::string row_name(int64_t row) const override;

 private:
  int64_t dim_;
  std::vector<float> values_;
  std::vector<std::pair<std::string, int64_t>> begins_;  // id and first row of each utterance
};

// Chosen rows of a source, copied into memory.
class SampledFrames : public FrameSource {
 public:
  // `rows` in ascending order.
  SampledFrames(const FrameSource& source, std::vector<int64_t> rows);

  int64_t frames() const override { return values_.rows(); }
  int64_t dim() const override { return values_.columns(); }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t) const override { return values_.row(first).data(); }
  std::string row_name(int64_t row) const override;

 private:
  const FrameSource& source_;
  std::vector<int64_t> rows_;
  Matrix values_;
};

}  // namespace retort
