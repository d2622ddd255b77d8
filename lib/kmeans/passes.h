// Passes over all frames of a source: what every Lloyd iteration, and the last assignment, does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"
#include "base/progress.h"
#include "kmeans/clusters.h"
#include "kmeans/kmeans.h"

namespace retort {

// Remembers each frame's label from one pass to the next.
class Passes {
 public:
  // Keeps references. `options.engine` is resolved, `options.threads` positive.
  Passes(const FrameSource& source, const KmeansOptions& options);

  // Assigns every frame to its nearest centroid; `with_sums` also adds the frames up.
  Clusters run(const Matrix& centroids, bool with_sums, Progress& progress);

 private:
  void read(int64_t first, int64_t count);
  void take_labels(int64_t first, int64_t count, Clusters& clusters);
  void add_up(int64_t count, Clusters& clusters);

  const FrameSource& source_;
  const KmeansOptions& options_;
  std::vector<int32_t> labels_;
  Matrix rows_;
  std::vector<int32_t> new_labels_;
  std::vector<double> distances_;
};

}  // namespace retort
