#include "kmeans/kmeans_init.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "kmeans/candidates.h"
#include "kmeans/frame_sources.h"
#include "kmeans/plus_plus.h"
#include "store/npy.h"

namespace retort {
namespace {

// Streams of random numbers that must not be the same.
enum SeedPurpose : uint64_t {
  seed_of_sample = 1,
  seed_of_init = 2,
  seed_of_training = 3,
  seed_of_batches = 4
};

// Collects frames that differ from each other in at least one bit.
class DistinctRows {
 public:
  DistinctRows(int64_t wanted, int64_t dim) : rows_(wanted, dim) {}

  bool full() const { return found_ == rows_.rows(); }
  int64_t found() const { return found_; }
  void add(const float* row) {
    const auto bytes = static_cast<size_t>(rows_.columns()) * sizeof(float);
    if (full() || !seen_.insert(hash_bytes(row, bytes)).second) return;
    std::copy_n(row, rows_.columns(), rows_.row(found_++).data());
  }
  Matrix take() { return std::move(rows_); }

 private:
  Matrix rows_;
  int64_t found_ = 0;
  std::unordered_set<std::string> seen_;
};

// Where a sample held too few different frames: the rest from the whole source, in order.
void fill_from_all(const FrameSource& source, DistinctRows& chosen) {
  constexpr int64_t block = 1024;
  std::vector<float> rows(static_cast<size_t>(block * source.dim()));
  for (int64_t first = 0; first < source.frames() && !chosen.full(); first += block) {
    const int64_t count = std::min(block, source.frames() - first);
    read_finite_rows(source, first, count, rows.data());
    for (int64_t i = 0; i < count; ++i) chosen.add(rows.data() + i * source.dim());
  }
}

void choose_random(const FrameSource& source, const KmeansOptions& options, DistinctRows& chosen) {
  // Twice as many as wanted, since some may be equal (digital silence).
  const int64_t count = std::min(source.frames(), 2 * options.clusters);
  std::vector<int64_t> rows = sample_rows(source.frames(), count, mix_seed({options.seed, seed_of_init}));
  const Matrix sample = gather_rows(source, rows);
  std::vector<int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  Random(mix_seed({options.seed, seed_of_init, 1})).shuffle(order);
  for (const int64_t row : order) chosen.add(sample.row(row).data());
}

// The rows that k-means++ draws of these, which are as good as `weights` many (none: one) each.
void choose_plus_plus(const Matrix& rows, std::vector<double> weights, const KmeansOptions& options,
                      DistinctRows& chosen) {
  Random random(mix_seed({options.seed, seed_of_init, 1}));
  PlusPlus distances(rows, std::move(weights), options.threads);
  while (!chosen.full()) {
    throw_if_stopped();
    const int64_t drawn = distances.draw(random);
    if (drawn < 0) return;
    chosen.add(rows.row(drawn).data());
    distances.add_centroid(rows.row(drawn).data());
  }
}

std::vector<int64_t> init_sample(const FrameSource& source, const KmeansOptions& options) {
  return sample_rows(source.frames(), init_frames(source.frames(), options),
                     mix_seed({options.seed, seed_of_init}));
}

void choose_from_candidates(const SharedFrames& frames, const KmeansOptions& options, DistinctRows& chosen) {
  const FrameSource& source = frames.all;
  const uint64_t seed = mix_seed({options.seed, seed_of_init, 2});
  const bool all = init_frames(source.frames(), options) == source.frames();
  Candidates candidates =
      all ? draw_candidates(frames, options, seed)
          : draw_candidates(SampledFrames(source, init_sample(source, options), options.threads), options,
                            seed);
  log_info("kmeans", "{} candidates for {} clusters drawn in {} rounds", candidates.rows.rows(),
           options.clusters, candidates.rounds);
  choose_plus_plus(candidates.rows, std::move(candidates.weights), options, chosen);
}

Matrix centroids_of_file(const FrameSource& source, const KmeansOptions& options) {
  Matrix centroids = read_npy_matrix(options.init);
  if (centroids.rows() != options.clusters || centroids.columns() != source.dim())
    fail("{}: holds {} x {} values, but {} clusters of {} dimensions are asked for", options.init,
         centroids.rows(), centroids.columns(), options.clusters, source.dim());
  if (!all_finite(centroids.data(), centroids.rows() * centroids.columns()))
    fail("{}: holds values that are not finite", options.init);
  return centroids;
}

}  // namespace

std::vector<int64_t> sample_rows(int64_t total, int64_t count, uint64_t seed) {
  Random random(mix_seed({seed, seed_of_sample}));
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(count));
  for (int64_t row = 0; row < total && count > 0; ++row) {
    if (static_cast<double>(total - row) * random.uniform() >= static_cast<double>(count)) continue;
    rows.push_back(row);
    --count;
  }
  return rows;
}

uint64_t training_key(uint64_t seed, int64_t row) {
  return mix_seed({seed, seed_of_training, static_cast<uint64_t>(row)});
}

std::vector<int64_t> sample_training_rows(int64_t total, int64_t count, uint64_t seed) {
  std::vector<std::pair<uint64_t, int64_t>> lowest;  // a heap, the highest key first
  for (int64_t row = 0; row < total; ++row) {
    const std::pair<uint64_t, int64_t> candidate{training_key(seed, row), row};
    if (std::ssize(lowest) == count) {
      if (count == 0 || lowest.front() < candidate) continue;
      std::pop_heap(lowest.begin(), lowest.end());
      lowest.pop_back();
    }
    lowest.push_back(candidate);
    std::push_heap(lowest.begin(), lowest.end());
  }
  std::vector<int64_t> rows;
  for (const auto& [key, row] : lowest) rows.push_back(row);
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<int64_t> batch_rows(int64_t total, int64_t count, uint64_t seed, int64_t batch) {
  Random random(mix_seed({seed, seed_of_batches, static_cast<uint64_t>(batch)}));
  std::vector<int64_t> rows(static_cast<size_t>(count));
  for (int64_t& row : rows) row = static_cast<int64_t>(random.below(static_cast<uint64_t>(total)));
  std::sort(rows.begin(), rows.end());
  return rows;
}

void read_finite_rows(const FrameSource& source, int64_t first, int64_t count, float* out) {
  source.read_rows(first, count, out);
  check_finite_rows(source, first, count, out);
}

void read_finite_rows(const FrameSource& source, int64_t first, int64_t count, float* out, int threads) {
  constexpr int64_t task = 512;
  parallel_for(static_cast<size_t>((count + task - 1) / task), threads, [&](size_t index) {
    const int64_t begin = static_cast<int64_t>(index) * task;
    read_finite_rows(source, first + begin, std::min(task, count - begin), out + begin * source.dim());
  });
}

void check_finite_rows(const FrameSource& source, int64_t first, int64_t count, const float* rows) {
  if (all_finite(rows, count * source.dim())) return;
  for (int64_t i = 0; i < count; ++i)
    if (!all_finite(rows + i * source.dim(), source.dim()))
      fail("{}: holds a value that is not finite (NaN or infinite); make these features again",
           source.row_name(first + i));
}

Matrix gather_rows(const FrameSource& source, const std::vector<int64_t>& rows, int threads) {
  constexpr size_t task = 512;
  Matrix gathered(std::ssize(rows), source.dim());
  parallel_for((rows.size() + task - 1) / task, threads, [&](size_t index) {
    const size_t last = std::min((index + 1) * task, rows.size());
    for (size_t begin = index * task; begin < last;) {
      size_t end = begin + 1;
      while (end < last && rows[end] == rows[end - 1] + 1) ++end;
      read_finite_rows(source, rows[begin], static_cast<int64_t>(end - begin),
                       gathered.row(static_cast<int64_t>(begin)).data());
      begin = end;
    }
  });
  return gathered;
}

int64_t init_frames(int64_t frames, const KmeansOptions& options) {
  constexpr int64_t for_plus_plus = 32;
  const int64_t per_cluster = options.init_points_per_centroid >= 0 ? options.init_points_per_centroid
                              : options.init == "kmeans++"          ? for_plus_plus
                                                                    : 0;
  return per_cluster == 0 ? frames : std::min(frames, per_cluster * options.clusters);
}

Matrix initial_centroids(const SharedFrames& frames, const KmeansOptions& options) {
  const FrameSource& source = frames.all;
  if (options.init.ends_with(".npy")) return centroids_of_file(source, options);
  DistinctRows chosen(options.clusters, source.dim());
  if (options.init == "random")
    choose_random(source, options, chosen);
  else if (options.init == "kmeans++")
    choose_plus_plus(gather_rows(source, init_sample(source, options), options.threads), {}, options, chosen);
  else
    choose_from_candidates(frames, options, chosen);
  if (!chosen.full()) fill_from_all(source, chosen);
  if (!chosen.full())
    fail(
        "only {} of {} frames differ from each other, too few for {} clusters; use fewer clusters or more "
        "data",
        chosen.found(), source.frames(), options.clusters);
  return chosen.take();
}

}  // namespace retort
