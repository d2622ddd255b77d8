// All distances of frames from a codebook, for who wants more than the nearest centroid.
#pragma once

#include "base/matrix.h"

namespace retort {

// Squared Euclidean distances (frames, K) of rows (frames, dim) from centroids (K, dim): those by which a
// label is defined (kernels/exact_distance.h), computed in f64 and rounded to f32. `threads` 0: all.
Matrix squared_distances(const Matrix& frames, const Matrix& centroids, int threads);

}  // namespace retort
