#include "export/output_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace retort {
namespace {

double cosine_of(const float* a, const float* b, int64_t count) {
  double product = 0, square_a = 0, square_b = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(a[i]);
    const auto y = static_cast<double>(b[i]);
    product += x * y;
    square_a += x * x;
    square_b += y * y;
  }
  if (square_a == 0 || square_b == 0) return square_a == square_b ? 1 : 0;
  return product / std::sqrt(square_a * square_b);
}

}  // namespace

void OutputDifference::add(const Matrix& exported, const Matrix& model) {
  for (int64_t r = 0; r < model.rows(); ++r) {
    const float* ours = exported.row(r).data();
    const float* theirs = model.row(r).data();
    for (int64_t c = 0; c < model.columns(); ++c) {
      const double distance = std::abs(static_cast<double>(ours[c]) - static_cast<double>(theirs[c]));
      largest_ =
          std::isnan(distance) ? std::numeric_limits<double>::infinity() : std::max(largest_, distance);
      squares_ += static_cast<double>(theirs[c]) * static_cast<double>(theirs[c]);
    }
    cosines_ += cosine_of(ours, theirs, model.columns());
  }
  frames_ += model.rows();
  values_ += model.rows() * model.columns();
}

void OutputDifference::add(const std::vector<int64_t>& exported, const std::vector<int32_t>& model) {
  for (std::size_t i = 0; i < model.size(); ++i)
    if (exported[i] == model[i]) ++equal_;
  units_ += static_cast<int64_t>(model.size());
}

double OutputDifference::relative() const {
  return values_ == 0 ? 0 : largest_ / std::sqrt(squares_ / static_cast<double>(values_));
}

double OutputDifference::cosine() const {
  return frames_ == 0 ? 1 : cosines_ / static_cast<double>(frames_);
}

double OutputDifference::equal_units() const {
  return units_ == 0 ? 1 : static_cast<double>(equal_) / static_cast<double>(units_);
}

Json OutputDifference::to_json() const {
  if (units_ > 0) return {{"equal_units", equal_units()}, {"frames", units_}};
  return {{"relative", relative()}, {"cosine", cosine()}, {"frames", frames_}};
}

}  // namespace retort
