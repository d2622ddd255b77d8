// A window that moves over rows of which there are too many to keep.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/linear.h"

namespace retort {

// Rows are counted from the first that there ever was.
class RowWindow {
 public:
  RowWindow(int64_t first, int64_t width) : begin_(first), width_(width) {}

  int64_t begin() const { return begin_; }
  int64_t end() const { return begin_ + count(); }
  const float* row(int64_t index) const { return values_.data() + (index - begin_) * width_; }
  RowSpan append(int64_t rows) {
    const size_t at = values_.size();
    values_.resize(at + static_cast<size_t>(rows * width_));
    return {values_.data() + at, width_, rows};
  }
  void drop_before(int64_t index) {
    const int64_t rows = std::clamp(index - begin_, int64_t{0}, count());
    values_.erase(values_.begin(), values_.begin() + rows * width_);
    begin_ += rows;
  }

 private:
  int64_t count() const { return static_cast<int64_t>(values_.size()) / width_; }

  int64_t begin_;
  int64_t width_;
  std::vector<float> values_;
};

}  // namespace retort
