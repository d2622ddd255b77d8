// The distances that decide: f64 arithmetic in an order that no machine, thread or batch changes.
#pragma once

#include <cstdint>

#include "base/matrix.h"

namespace retort {

// Squared Euclidean distance of two vectors of `dim` floats, in f64, the same on every x86-64 CPU.
double squared_distance(const float* a, const float* b, int64_t dim);

struct ExactNearest {
  int32_t label;
  double distance;  // squared
};

// What defines a label (nearest/assigner.h): the centroid, a row of `centroids`, at the least
// squared_distance() from `row`, the lower index where two are equal.
ExactNearest nearest_exactly(const float* row, const Matrix& centroids);

// Relative error of a dot product of `dim` f32 terms, whatever their order (Higham, Accuracy and Stability of
// Numerical Algorithms, section 3.1), with room for the rounding of centring and of the norm.
inline double f32_error_factor(int64_t dim) {
  const double roundings = static_cast<double>(dim + 8) * 0x1.0p-24;
  return roundings / (1 - roundings);
}

// True if none of the values is NaN or infinite.
bool all_finite(const float* values, int64_t count);

}  // namespace retort
