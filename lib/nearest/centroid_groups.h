// Which centroids share a panel of the native engine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace retort {

// An order of the centroids in which each run of `width` lies close together: pruning rules out whole runs.
// It is a permutation of 0 .. K - 1, found by halving along the line between two far centroids, again and
// again.
std::vector<int32_t> group_centroids(const Matrix& centroids, int64_t width);

}  // namespace retort
