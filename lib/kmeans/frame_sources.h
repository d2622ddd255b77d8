// Sources of frames for k-means besides a store: frames gathered in memory, and other sources read otherwise.
#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "kmeans/kmeans.h"
#include "store/feature_norm.h"

namespace retort {

// Another source, read as it is; what shows its rows differently derives from this.
class ForwardedFrames : public FrameSource {
 public:
  // Keeps a reference.
  explicit ForwardedFrames(const FrameSource& source) : source_(source) {}

  int64_t frames() const override { return source_.frames(); }
  int64_t dim() const override { return source_.dim(); }
  void read_rows(int64_t first, int64_t count, float* out) const override {
    source_.read_rows(first, count, out);
  }
  const float* rows_in_place(int64_t first, int64_t count) const override {
    return source_.rows_in_place(first, count);
  }
  FramePlace place(int64_t row) const override { return source_.place(row); }
  bool in_memory() const override { return source_.in_memory(); }
  int64_t bytes_read() const override { return source_.bytes_read(); }

 protected:
  const FrameSource& source_;
};

// Frames of utterances, kept in memory in the order they were added.
class GatheredFrames : public FrameSource {
 public:
  // `expected`: about how many frames will come.
  explicit GatheredFrames(int64_t dim, int64_t expected = 0) : dim_(dim) {
    values_.reserve(static_cast<std::size_t>(expected * dim));
  }
  void add(const std::string& id, const Matrix& frames);

  int64_t frames() const override { return static_cast<int64_t>(values_.size()) / dim_; }
  int64_t dim() const override { return dim_; }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t) const override { return values_.data() + first * dim_; }
  FramePlace place(int64_t row) const override;
  bool in_memory() const override { return true; }

 private:
  int64_t dim_;
  std::vector<float> values_;
  std::vector<std::pair<std::string, int64_t>> begins_;  // id and first row of each utterance
};

// A sample of the frames of utterances, drawn while they come by: the rows that sample_training_rows would
// draw of all of them, in their order.
class ReservoirFrames : public FrameSource {
 public:
  ReservoirFrames(int64_t dim, int64_t wanted, uint64_t seed);
  void add(const std::string& id, const Matrix& frames);
  // To be called once, after the last utterance.
  void finish();

  int64_t frames() const override { return std::ssize(slots_); }
  int64_t dim() const override { return rows_.columns(); }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  FramePlace place(int64_t row) const override;
  bool in_memory() const override { return true; }
  int64_t frames_seen() const { return seen_; }

 private:
  // Where a drawn frame is held, and where it comes from. While frames come by, the slots are a heap.
  struct Slot {
    uint64_t key;
    int64_t row;    // among all frames
    int64_t place;  // row of rows_
    bool operator<(const Slot& other) const { return key < other.key; }
  };

  Matrix rows_;
  uint64_t seed_;
  std::vector<Slot> slots_;
  std::vector<std::pair<std::string, int64_t>> begins_;  // id and first row of each utterance
  int64_t seen_ = 0;
};

// Chosen rows of a source, copied into memory.
class SampledFrames : public FrameSource {
 public:
  // `rows` in ascending order.
  SampledFrames(const FrameSource& source, std::vector<int64_t> rows, int threads = 1);

  int64_t frames() const override { return values_.rows(); }
  int64_t dim() const override { return values_.columns(); }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t) const override { return values_.row(first).data(); }
  FramePlace place(int64_t row) const override;

 private:
  const FrameSource& source_;
  std::vector<int64_t> rows_;
  Matrix values_;
};

// The frames [first, first + frames()) of a source, which it refers to.
class RangeOfFrames : public ForwardedFrames {
 public:
  RangeOfFrames(const FrameSource& source, int64_t first, int64_t count)
      : ForwardedFrames(source), first_(first), count_(count) {}

  int64_t frames() const override { return count_; }
  void read_rows(int64_t first, int64_t count, float* out) const override {
    source_.read_rows(first_ + first, count, out);
  }
  const float* rows_in_place(int64_t first, int64_t count) const override {
    return source_.rows_in_place(first_ + first, count);
  }
  FramePlace place(int64_t row) const override { return source_.place(first_ + row); }

 private:
  int64_t first_;
  int64_t count_;
};

// Chosen rows of a source, read where they are.
class PickedFrames : public ForwardedFrames {
 public:
  // `rows` in ascending order.
  PickedFrames(const FrameSource& source, std::vector<int64_t> rows)
      : ForwardedFrames(source), rows_(std::move(rows)) {}

  int64_t frames() const override { return std::ssize(rows_); }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t, int64_t) const override { return nullptr; }
  FramePlace place(int64_t row) const override;

 private:
  std::vector<int64_t> rows_;
};

// The rows of a source, normalised as they are read.
class NormalisedFrames : public ForwardedFrames {
 public:
  // Keeps references.
  NormalisedFrames(const FrameSource& source, const FeatureNorm& norm)
      : ForwardedFrames(source), norm_(norm) {}

  void read_rows(int64_t first, int64_t count, float* out) const override {
    source_.read_rows(first, count, out);
    norm_.apply(out, count, dim());
  }
  const float* rows_in_place(int64_t first, int64_t count) const override {
    return norm_.none() ? source_.rows_in_place(first, count) : nullptr;
  }

 private:
  const FeatureNorm& norm_;
};

// The normalisation `kind` (FeatureNorm) for the frames of a source, which is read once where that needs mean
// and variance: sums in f64, in the order of the frames. A dimension that never changes keeps its scale.
FeatureNorm measure_norm(const FrameSource& source, const std::string& kind);

}  // namespace retort
