// Compiled without floating-point contraction (CMakeLists.txt): a fused multiply-add on one CPU and none on
// another would decide near ties differently.
#include "kernels/exact_distance.h"

#include <cstring>
#include <limits>

#include "kernels/simd.h"

namespace retort {

RETORT_CLONES double squared_distance(const float* a, const float* b, int64_t dim) {
  Double8 lanes{};
  int64_t j = 0;
  for (; j + 8 <= dim; j += 8) {
    Float8 left, right;
    std::memcpy(&left, a + j, sizeof left);
    std::memcpy(&right, b + j, sizeof right);
    const Double8 difference =
        __builtin_convertvector(left, Double8) - __builtin_convertvector(right, Double8);
    lanes += difference * difference;
  }
  double sum =
      ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  for (; j < dim; ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

ExactNearest nearest_exactly(const float* row, const Matrix& centroids) {
  ExactNearest best{-1, std::numeric_limits<double>::infinity()};
  for (int64_t k = 0; k < centroids.rows(); ++k) {
    const double distance = squared_distance(row, centroids.row(k).data(), centroids.columns());
    if (best.label < 0 || distance < best.distance) best = {static_cast<int32_t>(k), distance};
  }
  return best;
}

RETORT_CLONES bool all_finite(const float* values, int64_t count) {
  constexpr uint32_t exponent = 0x7f800000;
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= (bits & exponent) == exponent ? 1u : 0u;
  }
  return bad == 0;
}

}  // namespace retort
