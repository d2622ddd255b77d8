// Frames for the tests of k-means, made rather than read.
#pragma once

#include "base/random.h"
#include "kmeans/frame_sources.h"

namespace retort {

// Uniform in [low, high).
inline Matrix random_matrix(int64_t rows, int64_t columns, uint64_t seed, double low = -1, double high = 1) {
  Random random(seed);
  Matrix matrix(rows, columns);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      matrix(i, j) = static_cast<float>(low + (high - low) * random.uniform());
  return matrix;
}

inline GatheredFrames as_source(const Matrix& matrix) {
  GatheredFrames source(matrix.columns());
  source.add("made", matrix);
  return source;
}

}  // namespace retort
