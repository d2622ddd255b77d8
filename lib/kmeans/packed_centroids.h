// Centroids packed for a kernel that computes sixteen scores at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "kmeans/nearest_search.h"

namespace retort {

class PackedCentroids {
 public:
  explicit PackedCentroids(const CentredCentroids& centroids);

  int64_t dim() const { return dim_; }
  int64_t clusters() const { return clusters_; }

  // Nearest centroids of `count` rows; single-threaded.
  void search(const float* rows, int64_t count, Nearest* nearest) const;
  // The scores of one row against every centroid (K values, then padding up to padded_clusters()).
  void scores(const float* row, float* scores) const;
  int64_t padded_clusters() const { return panels_ * panel_width; }

  static constexpr int64_t panel_width = 16;

 private:
  void centre(const float* rows, int64_t count, std::vector<float>& centred) const;
  const float* panel(int64_t index) const { return weights_.data() + index * dim_ * panel_width; }
  const float* panel_norms(int64_t index) const { return norms_.data() + index * panel_width; }

  int64_t dim_;
  int64_t clusters_;
  int64_t panels_;
  std::vector<float> mean_;
  std::vector<float> weights_;  // (panels, dim, 16): -2 c
  std::vector<float> norms_;    // (panels, 16): |c|^2, infinite where there is no centroid
};

}  // namespace retort
