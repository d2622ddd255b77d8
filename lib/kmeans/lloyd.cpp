#include "kmeans/lloyd.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "kmeans/shared_passes.h"

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

int64_t frames_of(const Clusters& clusters) {
  return std::accumulate(clusters.sizes.begin(), clusters.sizes.end(), int64_t{0});
}

int64_t empty_of(const std::vector<int64_t>& sizes) {
  return std::count(sizes.begin(), sizes.end(), 0);
}

}  // namespace

Lloyd::Lloyd(const KmeansOptions& options, Matrix initial)
    : iterations_(options.iterations),
      tolerance_(options.tolerance),
      centroids_(std::move(initial)),
      iterating_(options.iterations > 0) {}

void Lloyd::take(const Clusters& clusters, const FrameSource& source) {
  frames_ = frames_of(clusters);
  iterating_ ? update(clusters, source) : finish(clusters, source);
}

void Lloyd::update(const Clusters& clusters, const FrameSource& source) {
  curve_.push_back(mean_of(clusters.inertia, frames_));
  log_debug("kmeans", "iteration {}: {:.6g} mean squared distance", curve_.size(), curve_.back());
  const Matrix before = centroids_;
  move_to_means(clusters, centroids_);
  splits_ += refill_empty(source, clusters, centroids_);
  const bool settled = std::equal(before.values().begin(), before.values().end(), centroids_.data());
  const bool slow = tolerance_ > 0 && curve_.size() > 1 &&
                    curve_[curve_.size() - 2] - curve_.back() <= tolerance_ * curve_[curve_.size() - 2];
  iterating_ = !settled && !slow && std::ssize(curve_) < iterations_;
}

// One pass, but for clusters that lost their last frame to the last update.
void Lloyd::finish(const Clusters& clusters, const FrameSource& source) {
  constexpr int most_passes = 8;
  sizes_ = clusters.sizes;
  inertia_ = mean_of(clusters.inertia, frames_);
  const int moved = ++last_passes_ < most_passes ? refill_empty(source, clusters, centroids_) : 0;
  splits_ += moved;
  done_ = moved == 0;
  if (done_ && clusters.has_empty())
    log_warning("kmeans", "{} of {} clusters are empty: the frames hold too few different values",
                empty_of(sizes_), sizes_.size());
}

Json Lloyd::to_json() const {
  return {{"iterating", iterating_},
          {"done", done_},
          {"curve", curve_},
          {"sizes", sizes_},
          {"inertia", inertia_},
          {"splits", splits_},
          {"last_passes", last_passes_},
          {"frames", frames_}};
}

void Lloyd::set_from_json(const Json& state, const std::string& where) {
  iterating_ = json_get<bool>(state, "iterating", where);
  done_ = json_get<bool>(state, "done", where);
  curve_ = json_get<std::vector<double>>(state, "curve", where);
  sizes_ = json_get<std::vector<int64_t>>(state, "sizes", where);
  inertia_ = json_get<double>(state, "inertia", where);
  splits_ = json_get<int>(state, "splits", where);
  last_passes_ = json_get<int>(state, "last_passes", where);
  frames_ = json_get<int64_t>(state, "frames", where);
}

KmeansResult Lloyd::result() const {
  KmeansResult result;
  result.centroids = centroids_;
  result.sizes = sizes_;
  result.curve = curve_;
  result.inertia = inertia_;
  result.splits = splits_;
  result.frames = frames_;
  return result;
}

KmeansResult run_lloyd(const SharedFrames& frames, const KmeansOptions& options, Lloyd lloyd) {
  SharedPasses passes(frames, options);
  const auto each = static_cast<double>(frames.own.frames());
  Stopwatch watch;
  {
    Progress progress("cluster", "frames", each * options.iterations);
    while (lloyd.iterating()) lloyd.take(passes.run(lloyd.centroids(), progress), frames.all);
  }
  const double iteration_seconds = watch.lap();
  Progress progress("assign", "frames", each);
  while (!lloyd.done()) lloyd.take(passes.run(lloyd.centroids(), progress), frames.all);
  KmeansResult result = lloyd.result();
  result.labels = passes.labels();
  result.first_label = frames.first;
  result.engine = options.engine;
  result.seconds = {{"iterations", iteration_seconds}, {"final", watch.lap()}};
  return result;
}

}  // namespace retort
