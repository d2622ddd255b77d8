#include "kmeans/candidates.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/progress.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/threads.h"
#include "kmeans/cluster_sums.h"
#include "kmeans/exact_sums.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/plus_plus.h"
#include "nearest/native_search.h"

namespace retort {
namespace {

constexpr int rounds_wanted = 5;
constexpr int most_rounds = 20;
constexpr int64_t drawn_per_cluster = 2;  // in a round
constexpr int64_t block_rows = 8192;

// Every frame with the nearest candidate so far; each process looks after its own.
class NearestCandidates {
 public:
  NearestCandidates(const SharedFrames& frames, const KmeansOptions& options)
      : frames_(frames),
        source_(frames.own),
        options_(options),
        distances_(static_cast<size_t>(source_.frames()), std::numeric_limits<double>::infinity()),
        owners_(static_cast<size_t>(source_.frames())),
        rows_(std::min(block_rows, source_.frames()), source_.dim()) {}

  // Holds all frames against new candidates, the first of which is number `number`.
  void add(const Matrix& candidates, int32_t number, Progress& progress) {
    const auto assigner = make_assigner(candidates, options_.engine, options_.device, options_.threads);
    std::vector<int32_t> labels(static_cast<size_t>(block_rows));
    std::vector<double> distances(labels.size());
    total_ = ExactSum();
    for (int64_t chunk = 0; chunk < source_.frames(); chunk += source_.chunk_rows()) {
      source_.begin_chunk(chunk);
      const int64_t end = std::min(chunk + source_.chunk_rows(), source_.frames());
      for (int64_t first = chunk; first < end; first += block_rows) {
        throw_if_stopped();
        const int64_t count = std::min(block_rows, end - first);
        assigner->assign(read(first, count), count, labels.data(), distances.data());
        for (int64_t i = 0; i < count; ++i)
          take(first + i, number + labels[static_cast<size_t>(i)], distances[static_cast<size_t>(i)]);
        progress.advance(static_cast<double>(count));
      }
    }
    are_finite_ = true;
    sum_over(frames_.processes, total_);
  }

  // Sum of all squared distances.
  double cost() const { return total_.rounded(); }

  // Each frame with probability `wanted` * its squared distance / cost().
  std::vector<int64_t> draw(double wanted, uint64_t seed) const {
    const double factor = wanted / cost();
    std::vector<int64_t> drawn;
    for (int64_t row = 0; row < source_.frames(); ++row) {
      const double luck = uniform_of(mix_seed({seed, static_cast<uint64_t>(frames_.first + row)}));
      if (luck < distances_[static_cast<size_t>(row)] * factor) drawn.push_back(frames_.first + row);
    }
    return joined(frames_.processes, drawn);
  }

  std::vector<double> sizes(int64_t candidates) const {
    std::vector<double> sizes(static_cast<size_t>(candidates));
    for (const int32_t owner : owners_) ++sizes[static_cast<size_t>(owner)];
    frames_.processes.sum(sizes);
    return sizes;
  }

 private:
  // Rows are checked in the first pass.
  const float* read(int64_t first, int64_t count) {
    const float* rows = are_finite_ ? source_.rows_in_place(first, count) : nullptr;
    if (rows) return rows;
    read_finite_rows(source_, first, count, rows_.data(), options_.threads);
    return rows_.data();
  }

  void take(int64_t row, int32_t candidate, double distance) {
    double& nearest = distances_[static_cast<size_t>(row)];
    if (distance < nearest) {
      nearest = distance;
      owners_[static_cast<size_t>(row)] = candidate;
    }
    total_.add(nearest);
  }

  const SharedFrames frames_;
  const FrameSource& source_;  // this process's
  const KmeansOptions& options_;
  std::vector<double> distances_;
  std::vector<int32_t> owners_;
  Matrix rows_;
  ExactSum total_;
  bool are_finite_ = false;
};

// With room for luck.
int64_t drawn_in_a_round(int64_t frames, const KmeansOptions& options) {
  return std::min(frames, drawn_per_cluster * options.clusters * 5 / 4 + 64);
}

}  // namespace

Candidates draw_candidates(const SharedFrames& frames, const KmeansOptions& options, uint64_t seed) {
  const FrameSource& source = frames.all;
  const int64_t wanted = drawn_per_cluster * options.clusters;
  Progress progress("start", "frames", static_cast<double>(frames.own.frames() * (rounds_wanted + 1)));
  NearestCandidates nearest(frames, options);
  std::vector<int64_t> drawn{
      static_cast<int64_t>(Random(seed).below(static_cast<uint64_t>(source.frames())))};
  std::vector<float> rows;
  rows.reserve(
      static_cast<size_t>((rounds_wanted * drawn_in_a_round(source.frames(), options) + 1) * source.dim()));
  Candidates candidates;
  uint64_t draws = 0;
  for (;; ++candidates.rounds) {
    const Matrix fresh = gather_rows(source, drawn);
    const auto number = static_cast<int32_t>(std::ssize(rows) / source.dim());
    rows.insert(rows.end(), fresh.values().begin(), fresh.values().end());
    nearest.add(fresh, number, progress);
    const bool enough = candidates.rounds >= rounds_wanted && number + fresh.rows() >= options.clusters;
    if (enough || candidates.rounds == most_rounds || !(nearest.cost() > 0)) break;
    do {
      drawn = nearest.draw(static_cast<double>(wanted), mix_seed({seed, ++draws}));
    } while (drawn.empty());
  }
  const int64_t count = std::ssize(rows) / source.dim();
  candidates.rows = Matrix(count, source.dim(), std::move(rows));
  candidates.weights = nearest.sizes(candidates.rows.rows());
  return candidates;
}

int64_t bytes_of_candidates(int64_t frames, int64_t dim, const KmeansOptions& options) {
  // Of those that a round scores: their rows, and the forms that the search has of them.
  constexpr int64_t of_scored_value = 28;
  const int64_t threads = options.threads > 0 ? options.threads : available_threads();
  const int64_t drawn = drawn_in_a_round(frames, options);
  const int64_t all = std::min(frames, rounds_wanted * drawn + 1);
  return frames * static_cast<int64_t>(sizeof(double) + sizeof(int32_t)) + block_rows * dim * 4 +
         drawn * dim * of_scored_value + threads * NativeSearch::bytes(drawn, dim) +
         all * (dim * 4 + PlusPlus::bytes_per_row);
}

}  // namespace retort
