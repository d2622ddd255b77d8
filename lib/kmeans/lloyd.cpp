#include "kmeans/lloyd.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "kmeans/exact_distance.h"
#include "kmeans/kmeans_init.h"

namespace retort {
namespace {

// Rows in memory at a time; no result depends on it.
constexpr int64_t chunk_rows = 8192;

// What one pass over the frames learns about the clusters.
struct Clusters {
  Clusters(int64_t clusters, int64_t dim)
      : sums(static_cast<size_t>(clusters * dim)),
        sizes(static_cast<size_t>(clusters)),
        spread(static_cast<size_t>(clusters)),
        farthest(static_cast<size_t>(clusters)),
        farthest_distance(static_cast<size_t>(clusters)) {}

  std::vector<double> sums;  // (K, dim), added up in the order of the frames
  std::vector<int64_t> sizes;
  std::vector<double> spread;     // sum of squared distances within the cluster
  std::vector<int64_t> farthest;  // the frame at the largest distance from its centroid
  std::vector<double> farthest_distance;
  double inertia = 0;   // sum of all squared distances
  int64_t changed = 0;  // frames with another label than in the pass before

  void count(int64_t row, int32_t label, double distance) {
    const auto cluster = static_cast<size_t>(label);
    ++sizes[cluster];
    inertia += distance;
    spread[cluster] += distance;
    if (distance <= farthest_distance[cluster]) return;
    farthest_distance[cluster] = distance;
    farthest[cluster] = row;
  }

  bool has_empty() const { return std::find(sizes.begin(), sizes.end(), 0) != sizes.end(); }
};

// Passes over a source, remembering labels from one to the next.
class Passes {
 public:
  Passes(const FrameSource& source, const KmeansOptions& options)
      : source_(source),
        options_(options),
        labels_(static_cast<size_t>(source.frames()), -1),
        rows_(std::min(chunk_rows, source.frames()), source.dim()),
        new_labels_(static_cast<size_t>(rows_.rows())),
        distances_(static_cast<size_t>(rows_.rows())) {}

  // Assigns every frame to its nearest centroid; `with_sums` also adds the frames up.
  Clusters run(const Matrix& centroids, bool with_sums, Progress& progress) {
    Clusters clusters(centroids.rows(), centroids.columns());
    const auto assigner = make_assigner(centroids, options_.engine, options_.device, options_.threads);
    for (int64_t first = 0; first < source_.frames(); first += chunk_rows) {
      throw_if_stopped();
      const int64_t count = std::min(chunk_rows, source_.frames() - first);
      read(first, count);
      assigner->assign(rows_.data(), count, new_labels_.data(), distances_.data());
      take_labels(first, count, clusters);
      if (with_sums) add_up(count, clusters);
      progress.advance(static_cast<double>(count));
    }
    return clusters;
  }

 private:
  void read(int64_t first, int64_t count) {
    constexpr int64_t task = 512;
    parallel_for(static_cast<size_t>((count + task - 1) / task), options_.threads, [&](size_t index) {
      const int64_t begin = static_cast<int64_t>(index) * task;
      read_finite_rows(source_, first + begin, std::min(task, count - begin), rows_.row(begin).data());
    });
  }

  void take_labels(int64_t first, int64_t count, Clusters& clusters) {
    for (int64_t i = 0; i < count; ++i) {
      const int32_t label = new_labels_[static_cast<size_t>(i)];
      int32_t& remembered = labels_[static_cast<size_t>(first + i)];
      clusters.changed += remembered != label;
      remembered = label;
      clusters.count(first + i, label, distances_[static_cast<size_t>(i)]);
    }
  }

  // Each thread adds up its own dimensions, all of them in the order of the frames: no sum depends on the
  // threads.
  void add_up(int64_t count, Clusters& clusters) {
    const int64_t dim = source_.dim();
    const auto slices = static_cast<int64_t>(options_.threads);
    parallel_for(static_cast<size_t>(slices), options_.threads, [&](size_t index) {
      const auto slice = static_cast<int64_t>(index);
      const int64_t begin = dim * slice / slices;
      const int64_t end = dim * (slice + 1) / slices;
      for (int64_t i = 0; i < count; ++i)
        add_row(rows_.row(i).data(), begin, end,
                clusters.sums.data() + new_labels_[static_cast<size_t>(i)] * dim);
    });
  }

  const FrameSource& source_;
  const KmeansOptions& options_;
  std::vector<int32_t> labels_;
  Matrix rows_;
  std::vector<int32_t> new_labels_;
  std::vector<double> distances_;
};

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
    const Clusters clusters = passes.run(result.centroids, true, progress);
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
    const Clusters clusters = passes.run(result.centroids, false, progress);
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
