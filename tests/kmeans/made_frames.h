// Frames for the tests of k-means, made rather than read.
#pragma once

#include <algorithm>

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

// Groups of frames around random points, a tenth of them copies of the one before.
inline Matrix frames_with_copies(int64_t rows, int64_t dim, int64_t groups, uint64_t seed) {
  const Matrix middles = random_matrix(groups, dim, seed, -3, 3);
  Random random(seed + 1);
  Matrix frames(rows, dim);
  for (int64_t i = 0; i < rows; ++i) {
    const auto group = static_cast<int64_t>(random.below(static_cast<uint64_t>(groups)));
    const bool copy = i > 0 && random.below(10) == 0;
    for (int64_t j = 0; j < dim; ++j)
      frames(i, j) = copy ? frames(i - 1, j)
                          : middles(group, j) + static_cast<float>(random.uniform() + random.uniform());
  }
  return frames;
}

inline Matrix first_rows(const Matrix& frames, int64_t count) {
  Matrix rows(count, frames.columns());
  std::copy_n(frames.data(), count * frames.columns(), rows.data());
  return rows;
}

}  // namespace retort
