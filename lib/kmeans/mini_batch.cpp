#include "kmeans/mini_batch.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/stopwatch.h"
#include "kmeans/cluster_sums.h"
#include "kmeans/frame_sources.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/lloyd.h"

namespace retort {
namespace {

// The mean of all frames that each centroid has got.
class RunningMeans {
 public:
  explicit RunningMeans(const Matrix& initial)
      : centroids_(initial),
        means_(initial.values().begin(), initial.values().end()),
        counts_(static_cast<size_t>(initial.rows())) {}

  const Matrix& centroids() const { return centroids_; }

  void take(const Clusters& batch) {
    const auto dim = static_cast<size_t>(centroids_.columns());
    for (size_t k = 0; k < counts_.size(); ++k) {
      if (batch.sizes[k] == 0) continue;
      const auto before = static_cast<double>(counts_[k]);
      counts_[k] += batch.sizes[k];
      for (size_t i = k * dim; i < (k + 1) * dim; ++i) {
        means_[i] = (means_[i] * before + batch.sums[i]) / static_cast<double>(counts_[k]);
        centroids_.data()[i] = static_cast<float>(means_[i]);
      }
    }
  }

 private:
  Matrix centroids_;
  std::vector<double> means_;    // (K, dim)
  std::vector<int64_t> counts_;  // the initial centroid counts for nothing
};

// Says when batches no longer help. The first one's objective is that of the start, and left out.
class Improvement {
 public:
  Improvement(const FrameSource& source, const KmeansOptions& options)
      : options_(options),
        newest_share_(std::min(
            2 * static_cast<double>(options.mini_batch) / static_cast<double>(source.frames() + 1), 1.0)) {}

  void take(double objective) {
    if (batches_++ == 0) return;
    average_ = batches_ == 2 ? objective : average_ + newest_share_ * (objective - average_);
    if (average_ < least_ * (1 - options_.tolerance)) {
      least_ = average_;
      without_ = 0;
    } else {
      ++without_;
    }
  }

  bool is_over() const { return options_.no_improvement > 0 && without_ >= options_.no_improvement; }

 private:
  const KmeansOptions& options_;
  double newest_share_;  // of the moving average
  int64_t batches_ = 0;
  double average_ = 0;
  double least_ = std::numeric_limits<double>::max();
  int without_ = 0;
};

// What a batch learns: its clusters, and its mean squared distance from the centroids as they are.
struct BatchOutcome {
  Clusters clusters;
  double objective;
};

// This process's rows of a batch, counted from its first.
std::vector<int64_t> own_rows(const SharedFrames& frames, const KmeansOptions& options, int64_t number) {
  std::vector<int64_t> own;
  for (const int64_t row : batch_rows(frames.all.frames(), options.mini_batch, options.seed, number))
    if (row >= frames.first && row < frames.first + frames.own.frames()) own.push_back(row - frames.first);
  return own;
}

BatchOutcome assign_batch(const SharedFrames& frames, const KmeansOptions& options, const Matrix& centroids,
                          int64_t number) {
  const SampledFrames batch(frames.own, own_rows(frames, options, number), options.threads);
  std::vector<int32_t> labels(static_cast<size_t>(batch.frames()));
  std::vector<double> distances(labels.size());
  make_assigner(centroids, options.engine, options.device, options.threads)
      ->assign(batch.rows_in_place(0, batch.frames()), batch.frames(), labels.data(), distances.data());
  std::vector<Move> moves;
  ExactSum sum;
  for (size_t i = 0; i < labels.size(); ++i) {
    moves.push_back({static_cast<int64_t>(i), -1, labels[i]});
    sum.add(distances[i]);
  }
  // Spreads are not asked for, so any reference does.
  ClusterSums sums(centroids.rows(), std::vector<float>(static_cast<size_t>(centroids.columns())));
  sums.take(batch, moves, options.threads);
  sums.sum_over(frames.processes);
  sum_over(frames.processes, sum);
  return {sums.about(centroids), sum.rounded() / static_cast<double>(options.mini_batch)};
}

// The means of each hundred values, the last of which may be fewer.
std::vector<double> means_of_hundreds(const std::vector<double>& values) {
  std::vector<double> means;
  for (size_t begin = 0; begin < values.size(); begin += 100) {
    const size_t count = std::min<size_t>(100, values.size() - begin);
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    means.push_back(std::accumulate(first, first + static_cast<std::ptrdiff_t>(count), 0.0) /
                    static_cast<double>(count));
  }
  return means;
}

}  // namespace

KmeansResult run_mini_batches(const SharedFrames& frames, const KmeansOptions& options,
                              const Matrix& initial) {
  const int64_t most = frames.all.frames() * options.iterations / options.mini_batch;
  RunningMeans means(initial);
  Improvement improvement(frames.all, options);
  std::vector<double> objectives;
  Stopwatch watch;
  {
    Progress progress("cluster", "frames", static_cast<double>(most * options.mini_batch));
    while (std::ssize(objectives) < most && !improvement.is_over()) {
      throw_if_stopped();
      const BatchOutcome batch = assign_batch(frames, options, means.centroids(), std::ssize(objectives));
      means.take(batch.clusters);
      improvement.take(batch.objective);
      objectives.push_back(batch.objective);
      progress.advance(static_cast<double>(options.mini_batch));
    }
  }
  const double batch_seconds = watch.lap();
  log_info("kmeans", "{} mini-batches of {} frames{}", objectives.size(), options.mini_batch,
           improvement.is_over() ? fmt::format("; the last {} did not help", options.no_improvement) : "");
  KmeansOptions last = options;
  last.iterations = 0;
  KmeansResult result = run_lloyd(frames, last, Lloyd(last, means.centroids()));
  result.curve = means_of_hundreds(objectives);
  result.mini_batches = {{"frames", options.mini_batch},
                         {"batches", objectives.size()},
                         {"stopped", improvement.is_over() ? "no improvement" : "iterations"}};
  result.seconds["iterations"] = batch_seconds;
  return result;
}

}  // namespace retort
