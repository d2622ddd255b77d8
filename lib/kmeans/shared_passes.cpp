#include "kmeans/shared_passes.h"

namespace retort {

Clusters SharedPasses::run(const Matrix& centroids, Progress& progress) {
  Clusters own = passes_.run(centroids, progress);
  if (frames_.processes.alone()) return own;
  ClusterSums sums = passes_.sums();
  sums.sum_over(frames_.processes);
  Clusters all = sums.about(centroids);
  if (all.has_empty()) share_farthest(own, all);
  return all;
}

// A cluster that is empty in the whole is so for every process, so that each has looked for its farthest
// frames. Of frames as far the first counts.
void SharedPasses::share_farthest(const Clusters& own, Clusters& all) const {
  const size_t clusters = all.sizes.size();
  const auto count = static_cast<size_t>(frames_.processes.count());
  const size_t begin = 2 * clusters * static_cast<size_t>(frames_.processes.rank());
  std::vector<double> found(2 * clusters * count);  // by process: distances, then rows
  for (size_t k = 0; k < clusters; ++k) {
    found[begin + k] = own.farthest_distance[k];
    found[begin + clusters + k] = static_cast<double>(frames_.first + own.farthest[k]);
  }
  frames_.processes.sum(found);
  for (size_t process = 0; process < count; ++process)
    for (size_t k = 0; k < clusters; ++k)
      all.offer_farthest(static_cast<int32_t>(k),
                         static_cast<int64_t>(found[2 * clusters * process + clusters + k]),
                         found[2 * clusters * process + k]);
}

}  // namespace retort
