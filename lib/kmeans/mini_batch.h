// K-means on mini-batches of random frames (Sculley, "Web-scale k-means clustering", 2010), for data so large
// that few passes over it can be made. A frame moves its centroid by 1/n of the way, where n counts the
// frames that the centroid has got so far: a centroid is the mean of all of them, from whichever batches.
//
// Batches are drawn with repetition, as scikit-learn's MiniBatchKMeans draws them, and the same rule ends
// them: a moving average of the batches' objectives that has not gone down for long.
#pragma once

#include "kmeans/kmeans.h"
#include "kmeans/shared_frames.h"

namespace retort {

// Improves `initial` by mini-batches of options.mini_batch frames, in all at most options.iterations times as
// many as the source has, and makes a last pass over all frames for labels, sizes and inertia. Only a lower
// objective by more than options.tolerance (a share) counts as an improvement. The result's curve has the
// mean objective of each hundred batches. Deterministic whatever the threads. `options.engine` is resolved,
// `options.threads` positive. Each process that shares the frames assigns those of a batch that are its own.
KmeansResult run_mini_batches(const SharedFrames& frames, const KmeansOptions& options,
                              const Matrix& initial);

}  // namespace retort
