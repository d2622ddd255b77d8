#include "nearest/centred_centroids.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace retort {

CentredCentroids::CentredCentroids(const Matrix& centroids)
    : mean(static_cast<size_t>(centroids.columns())),
      centred(centroids.rows(), centroids.columns()),
      norms(static_cast<size_t>(centroids.rows())) {
  std::vector<double> sums(mean.size());
  for (int64_t k = 0; k < centroids.rows(); ++k)
    for (int64_t j = 0; j < centroids.columns(); ++j)
      sums[static_cast<size_t>(j)] += static_cast<double>(centroids(k, j));
  for (size_t j = 0; j < mean.size(); ++j)
    mean[j] = static_cast<float>(sums[j] / static_cast<double>(centroids.rows()));
  for (int64_t k = 0; k < centroids.rows(); ++k) {
    double norm = 0;
    for (int64_t j = 0; j < centroids.columns(); ++j) {
      const float value = centroids(k, j) - mean[static_cast<size_t>(j)];
      centred(k, j) = value;
      norm += static_cast<double>(value) * static_cast<double>(value);
    }
    norms[static_cast<size_t>(k)] = static_cast<float>(norm);
    largest_norm = std::max(largest_norm, std::sqrt(norm));
  }
}

}  // namespace retort
