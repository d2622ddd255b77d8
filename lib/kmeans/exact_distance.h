// The distances that decide: f64 arithmetic in an order that no machine, thread or batch changes.
#pragma once

#include <cstdint>

namespace retort {

// Squared Euclidean distance of two vectors of `dim` floats, in f64, the same on every x86-64 CPU.
double squared_distance(const float* a, const float* b, int64_t dim);

// True if none of the values is NaN or infinite.
bool all_finite(const float* values, int64_t count);

}  // namespace retort
