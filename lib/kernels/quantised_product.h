// Products of rows with a matrix in eight bits. Weights keep a scale per column; rows are quantised as they
// come, each by its own range, so that nothing needs to be calibrated and a row's outcome does not depend on
// the others.
#pragma once

#include <cstdint>
#include <vector>

#include "base/pages.h"
#include "kernels/product.h"

namespace retort {

// (depth, columns) as integers w with a scale s per column: w s, the largest of a column being 127 or -127.
class QuantisedMatrix {
 public:
  QuantisedMatrix() = default;
  // Column c is at values + c * depth. `segment` values of a row have one range: the depth, or, where rows
  // are windows over the frames of a convolution, what one frame has.
  QuantisedMatrix(const float* values, int64_t depth, int64_t columns, int64_t segment);

  int64_t depth() const { return segment_ * segments_; }
  int64_t columns() const { return columns_; }
  int64_t segment() const { return segment_; }
  int64_t segments() const { return segments_; }
  // Four values of a segment at a time, the last filled up with zeros.
  int64_t steps() const { return (segment_ + 3) / 4; }
  // Panels (segments, steps, 16, 4); one after the other.
  const int8_t* panel(int64_t index) const {
    return reinterpret_cast<const int8_t*>(pages_.data()) + index * panel_size();
  }
  int64_t panel_size() const;
  // s, for whole panels.
  const float* scales() const { return scales_.data(); }
  // Sums of w over a segment, likewise.
  const float* sums(int64_t segment) const {
    return sums_.data() + segment * static_cast<int64_t>(scales_.size());
  }

 private:
  int64_t columns_ = 0;
  int64_t segment_ = 0;
  int64_t segments_ = 0;
  Pages pages_;
  std::vector<float> scales_, sums_;
};

// As multiply() of product.h. Rows of several segments must begin a whole number of segments apart.
void multiply(CpuPath path, const QuantisedMatrix& matrix, const Product& product);

}  // namespace retort
