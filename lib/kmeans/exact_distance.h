// The distances that decide: f64 arithmetic in an order that no machine, thread or batch changes.
#pragma once

#include <cstdint>

namespace retort {

// Squared Euclidean distance of two vectors of `dim` floats, in f64, the same on every x86-64 CPU.
double squared_distance(const float* a, const float* b, int64_t dim);

// True if none of the values is NaN or infinite.
bool all_finite(const float* values, int64_t count);

// sums[j] += row[j] for j in [begin, end).
void add_row(const float* row, int64_t begin, int64_t end, double* sums);

}  // namespace retort
