#include "kmeans/lloyd.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "kmeans/passes.h"

namespace retort {
namespace {

void move_to_means(const Clusters& clusters, Matrix& centroids) {
  for (int64_t k = 0; k < centroids.rows(); ++k) {
    const int64_t size = clusters.sizes[static_cast<size_t>(k)];
    if (size == 0) continue;
    for (int64_t j = 0; j < centroids.columns(); ++j)
      centroids(k, j) = static_cast<float>(clusters.sums[static_cast<size_t>(k * centroids.columns() + j)] /
                                           static_cast<double>(size));
  }
}

// Puts each empty cluster on the farthest frame of the cluster with the largest spread; a cluster gives once
// a pass. Adding a centroid never makes the objective larger. Returns how many were moved.
int refill_empty(const FrameSource& source, const Clusters& clusters, Matrix& centroids) {
  std::vector<int64_t> donors(clusters.sizes.size());
  std::iota(donors.begin(), donors.end(), int64_t{0});
  std::stable_sort(donors.begin(), donors.end(), [&](int64_t a, int64_t b) {
    return clusters.spread[static_cast<size_t>(a)] > clusters.spread[static_cast<size_t>(b)];
  });
  int moved = 0;
  for (int64_t k = 0; k < centroids.rows(); ++k) {
    if (clusters.sizes[static_cast<size_t>(k)] > 0) continue;
    const auto donor = static_cast<size_t>(donors[static_cast<size_t>(moved)]);
    if (!(clusters.farthest_distance[donor] > 0)) break;
    source.read_rows(clusters.farthest[donor], 1, centroids.row(k).data());
    ++moved;
  }
  return moved;
}

double mean_of(double sum, int64_t frames) {
  return sum / static_cast<double>(frames);
}

}  // namespace

KmeansResult run_lloyd(const FrameSource& source, const KmeansOptions& options, Matrix initial) {
  KmeansResult result;
  result.engine = options.engine;
  result.frames = source.frames();
  result.centroids = std::move(initial);
  Passes passes(source, options);
  Progress progress("cluster", "frames", static_cast<double>(source.frames()) * options.iterations);
  for (int iteration = 0; iteration < options.iterations; ++iteration) {
    const Clusters clusters = passes.run(result.centroids, progress);
    result.curve.push_back(mean_of(clusters.inertia, source.frames()));
    log_debug("kmeans", "iteration {}: {:.6g} mean squared distance, {} of {} frames moved", iteration + 1,
              result.curve.back(), clusters.changed, source.frames());
    if (clusters.changed == 0 && !clusters.has_empty()) break;
    move_to_means(clusters, result.centroids);
    result.splits += refill_empty(source, clusters, result.centroids);
  }
  return result;
}

void assign_finally(const FrameSource& source, const KmeansOptions& options, KmeansResult& result) {
  constexpr int most_passes = 8;  // one, but for clusters that lost their last frame to the last update
  Passes passes(source, options);
  for (int pass = 0; pass < most_passes; ++pass) {
    Progress progress("assign", "frames", static_cast<double>(source.frames()));
    const Clusters clusters = passes.run(result.centroids, progress);
    result.sizes = clusters.sizes;
    result.inertia = mean_of(clusters.inertia, source.frames());
    if (!clusters.has_empty()) return;
    if (pass + 1 == most_passes) break;
    const int moved = refill_empty(source, clusters, result.centroids);
    if (moved == 0) break;
    result.splits += moved;
  }
  log_warning("kmeans", "{} of {} clusters are empty: the frames hold too few different values",
              std::count(result.sizes.begin(), result.sizes.end(), 0), result.sizes.size());
}

}  // namespace retort
