// Passes over frames that several processes share.
#pragma once

#include <vector>

#include "kmeans/passes.h"
#include "kmeans/shared_frames.h"

namespace retort {

// Each process assigns its own frames; the exact sums over them are added up, so that all processes learn to
// the last bit what one would learn of all frames. One message per iteration holds as many values as the
// sums of all clusters, however many frames and processes there are.
class SharedPasses {
 public:
  // Keeps a reference to options, and those of `frames`.
  SharedPasses(const SharedFrames& frames, const KmeansOptions& options)
      : frames_(frames), passes_(frames.own, options) {}

  // As Passes::run, of all frames; `progress` counts this process's.
  Clusters run(const Matrix& centroids, Progress& progress);

  // Of this process's frames.
  const std::vector<int32_t>& labels() const { return passes_.labels(); }

 private:
  void share_farthest(const Clusters& own, Clusters& all) const;

  const SharedFrames frames_;
  Passes passes_;
};

}  // namespace retort
