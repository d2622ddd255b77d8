// Lloyd's iterations, with exact labels (nearest/assigner.h).
#pragma once

#include "kmeans/clusters.h"
#include "kmeans/kmeans.h"
#include "kmeans/shared_frames.h"

namespace retort {

// The job between two passes over the frames: which centroids to hold them against next, and what to make of
// what a pass learnt. All that it needs to go on is in to_json() and centroids(), so that passes may be made
// by other processes.
class Lloyd {
 public:
  // Improves `initial` (K, dim) for at most `iterations` passes (fewer where one moves no centroid, or lowers
  // the objective by no more than a `tolerance` share), then makes a last one for sizes and inertia.
  Lloyd(const KmeansOptions& options, Matrix initial);

  const Matrix& centroids() const { return centroids_; }
  // Whether the next pass adds the frames up; the last one only assigns them.
  bool iterating() const { return iterating_; }
  bool done() const { return done_; }

  // Takes in a pass over all of `source`, which is read where an empty cluster needs a frame to start from.
  void take(const Clusters& clusters, const FrameSource& source);

  // Everything but the centroids.
  Json to_json() const;
  void set_from_json(const Json& state, const std::string& where);

  // What is known once done(): centroids, sizes, curve, inertia, splits and frames.
  KmeansResult result() const;

 private:
  void update(const Clusters& clusters, const FrameSource& source);
  void finish(const Clusters& clusters, const FrameSource& source);

  int iterations_;
  double tolerance_;
  Matrix centroids_;
  bool iterating_;
  bool done_ = false;
  std::vector<double> curve_;
  std::vector<int64_t> sizes_;
  double inertia_ = 0;
  int splits_ = 0;
  int last_passes_ = 0;
  int64_t frames_ = 0;
};

// Runs the job to its end and notes the seconds of its phases. `options.engine` is resolved,
// `options.threads` positive. Every process that shares the frames gets the same result but for labels.
KmeansResult run_lloyd(const SharedFrames& frames, const KmeansOptions& options, Lloyd lloyd);

}  // namespace retort
