// The rounds of k-means|| (Bahmani et al., "Scalable K-Means++", 2012): a few passes over the frames draw far
// more candidates than there are to be centroids, each frame by itself with a probability in proportion to
// its squared distance from the candidates before. K-means++ then needs to look at candidates only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"
#include "kmeans/kmeans.h"
#include "kmeans/shared_frames.h"

namespace retort {

struct Candidates {
  Matrix rows;
  std::vector<double> weights;  // frames that are nearest to each
  int rounds = 0;
};

// About 2 K candidates a round, in five rounds, or in more while they are fewer than K. What is drawn follows
// from the frames and the seed: every frame has a random number of its own in each round, and the distances
// are those that define labels. An Error names a frame that is not finite.
Candidates draw_candidates(const SharedFrames& frames, const KmeansOptions& options, uint64_t seed);

// What that takes besides the frames, with room for an unlucky draw.
int64_t bytes_of_candidates(int64_t frames, int64_t dim, const KmeansOptions& options);

}  // namespace retort
