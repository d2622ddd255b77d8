// How far what an exported model computes is from what its origin computes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"

namespace retort {

// Of one output, over all that was compared.
class OutputDifference {
 public:
  // Frames of a layer, of the same shape.
  void add(const Matrix& exported, const Matrix& model);
  // Labels of frames, as many.
  void add(const std::vector<int64_t>& exported, const std::vector<int32_t>& model);

  double relative() const;     // largest distance of two values, over the RMS of the model's; NaN: infinite
  double cosine() const;       // of two frames, on average
  double equal_units() const;  // share of labels
  Json to_json() const;

 private:
  double largest_ = 0, squares_ = 0, cosines_ = 0;
  int64_t values_ = 0, frames_ = 0, units_ = 0, equal_ = 0;
};

}  // namespace retort
