// What one pass over the frames learns about the clusters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace retort {

struct Clusters {
  Clusters(int64_t clusters, int64_t dim)
      : sums(static_cast<size_t>(clusters * dim)),
        sizes(static_cast<size_t>(clusters)),
        spread(static_cast<size_t>(clusters)),
        farthest(static_cast<size_t>(clusters)),
        farthest_distance(static_cast<size_t>(clusters)) {}

  std::vector<double> sums;  // (K, dim)
  std::vector<int64_t> sizes;
  std::vector<double> spread;  // sum of squared distances within the cluster
  // The frame at the largest distance from its centroid, and that distance; found only where a cluster is
  // empty.
  std::vector<int64_t> farthest;
  std::vector<double> farthest_distance;
  double inertia = 0;   // sum of all squared distances
  int64_t changed = 0;  // frames with another label than in the pass before

  void offer_farthest(int32_t label, int64_t row, double distance) {
    const auto cluster = static_cast<size_t>(label);
    if (distance <= farthest_distance[cluster]) return;
    farthest_distance[cluster] = distance;
    farthest[cluster] = row;
  }

  bool has_empty() const { return std::find(sizes.begin(), sizes.end(), 0) != sizes.end(); }
};

}  // namespace retort
