// What makes the passes of k-means (passes.h): the CPU, or a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/matrix.h"
#include "base/progress.h"
#include "kmeans/cluster_sums.h"
#include "kmeans/clusters.h"
#include "kmeans/kmeans.h"

namespace retort {

class PassEngine {
 public:
  virtual ~PassEngine() = default;
  // As Passes::run(), but for the farthest frames.
  virtual Clusters run(const Matrix& centroids, Progress& progress) = 0;
  // The sums and labels of the last pass.
  virtual const ClusterSums& sums() = 0;
  virtual const std::vector<int32_t>& labels() = 0;
};

}  // namespace retort
