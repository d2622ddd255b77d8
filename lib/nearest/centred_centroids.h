// Centroids as scores are made of them.
#pragma once

#include <vector>

#include "base/matrix.h"

namespace retort {

// Centroids less their mean, which makes scores small and so precise.
struct CentredCentroids {
  explicit CentredCentroids(const Matrix& centroids);

  std::vector<float> mean;   // (dim)
  Matrix centred;            // (K, dim)
  std::vector<float> norms;  // (K) squared
  double largest_norm = 0;   // of a centred centroid, not squared
};

}  // namespace retort
