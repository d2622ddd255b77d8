// Passes over all frames of a source: what every Lloyd iteration, and the last assignment, does.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/matrix.h"
#include "base/progress.h"
#include "kmeans/pass_engine.h"

namespace retort {

// Remembers each frame's label from one pass to the next, and the sums over each cluster: a pass reads what
// its engine needs for labels, and once more the frames whose label changes.
class Passes {
 public:
  // Keeps references. `options.engine` is resolved, `options.threads` positive. Squared distances are summed
  // up from `reference` (ClusterSums); by default that is the mean of the first pass's centroids.
  Passes(const FrameSource& source, const KmeansOptions& options, std::vector<float> reference = {});

  // Assigns every frame to its nearest centroid. What it says depends on the frames and the centroids alone,
  // to the last bit: not on passes before, threads or the engine.
  Clusters run(const Matrix& centroids, Progress& progress);

  // The sums of the last pass, for merging with those over other frames.
  const ClusterSums& sums() const { return engine_->sums(); }
  const std::vector<int32_t>& labels() const { return engine_->labels(); }

 private:
  void find_farthest(const Matrix& centroids, Clusters& clusters) const;

  const FrameSource& source_;
  const KmeansOptions& options_;
  std::vector<float> reference_;
  std::unique_ptr<PassEngine> engine_;  // from the first pass on
};

}  // namespace retort
