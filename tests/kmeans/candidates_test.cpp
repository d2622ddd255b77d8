// The starts of k-means that draw by distance: k-means|| against k-means++ and its definition.
#include "kmeans/candidates.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "base/error.h"
#include "kernels/exact_distance.h"
#include "kmeans/frame_memory.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/plus_plus.h"
#include "made_frames.h"

using namespace retort;

namespace {

KmeansOptions job(int64_t clusters, const char* init) {
  KmeansOptions options;
  options.clusters = clusters;
  options.engine = "native";
  options.threads = 2;
  options.init = init;
  return options;
}

// Tight groups of different sizes around random points.
Matrix grouped_frames(int64_t rows, int64_t dim, uint64_t groups, uint64_t seed) {
  const Matrix middles = random_matrix(static_cast<int64_t>(groups), dim, seed, -10, 10);
  Random random(seed + 1);
  Matrix frames(rows, dim);
  for (int64_t i = 0; i < rows; ++i) {
    const auto group = static_cast<int64_t>(std::min(random.below(groups), random.below(groups)));
    for (int64_t j = 0; j < dim; ++j)
      frames(i, j) = middles(group, j) + static_cast<float>(random.uniform() - 0.5);
  }
  return frames;
}

std::vector<float> start_of(const FrameSource& source, const KmeansOptions& options) {
  const Matrix centroids = initial_centroids(source, options);
  return {centroids.values().begin(), centroids.values().end()};
}

}  // namespace

TEST_CASE("candidates are frames of the source, spread out, with the frames nearest to them", "[kmeans]") {
  const Matrix frames = grouped_frames(4000, 6, 30, 1);
  const GatheredFrames source = as_source(frames);
  const Candidates candidates = draw_candidates(source, job(30, "kmeans-parallel"), 7);
  CHECK(candidates.rounds == 5);
  // 60 a round, one before the first; the standard deviation of a round is below 8.
  CHECK(candidates.rows.rows() > 301 - 90);
  CHECK(candidates.rows.rows() < 301 + 90);
  std::vector<double> sizes(candidates.weights.size());
  double cost = 0;
  for (int64_t i = 0; i < frames.rows(); ++i) {
    const ExactNearest nearest = nearest_exactly(frames.row(i).data(), candidates.rows);
    ++sizes[static_cast<size_t>(nearest.label)];
    cost += nearest.distance;
  }
  CHECK(candidates.weights == sizes);
  // Every group has a candidate: what is left is within groups, 6 / 12 on average for a point and its middle.
  CHECK(cost / 4000 < 1);
  const auto is_frame = [&](int64_t candidate) {
    const auto row = candidates.rows.row(candidate);
    for (int64_t i = 0; i < frames.rows(); ++i)
      if (std::equal(row.begin(), row.end(), frames.row(i).data())) return true;
    return false;
  };
  for (int64_t i = 0; i < candidates.rows.rows(); ++i) CHECK(is_frame(i));
}

TEST_CASE("k-means|| starts as well as k-means++, also from frames that are streamed", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(20000, 8, 60, 2));
  const StreamedFrames streamed(source, 4096);
  double parallel = 0, plus_plus = 0;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    KmeansOptions options = job(40, "kmeans-parallel");
    options.seed = seed;
    const KmeansResult result = run_kmeans(source, options);
    parallel += result.inertia;
    const KmeansResult again = run_kmeans(streamed, options);
    CHECK(std::equal(again.centroids.values().begin(), again.centroids.values().end(),
                     result.centroids.data()));
    options.init = "kmeans++";
    plus_plus += run_kmeans(source, options).inertia;
  }
  CHECK(parallel < 1.05 * plus_plus);
}

TEST_CASE("starts follow from the seed, and not from threads", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(10000, 5, 20, 3));
  for (const char* init : {"kmeans++", "kmeans-parallel"})
    for (const int64_t per_cluster : {0, 20}) {
      KmeansOptions options = job(25, init);
      options.init_points_per_centroid = per_cluster;
      const std::vector<float> expected = start_of(source, options);
      options.threads = 1;
      CHECK(start_of(source, options) == expected);
      options.seed = 1;
      CHECK(start_of(source, options) != expected);
    }
}

TEST_CASE("as many clusters as there are different frames, and no more", "[kmeans]") {
  Matrix frames(300, 1);
  for (int64_t i = 0; i < 300; ++i) frames(i, 0) = static_cast<float>(i % 50);
  const GatheredFrames source = as_source(frames);
  std::vector<float> start = start_of(source, job(50, "kmeans-parallel"));
  std::sort(start.begin(), start.end());
  std::vector<float> all(50);
  std::iota(all.begin(), all.end(), 0.0f);
  CHECK(start == all);
  CHECK_THROWS_WITH(initial_centroids(source, job(51, "kmeans-parallel")),
                    Catch::Contains("only 50 of 300 frames"));
  Matrix spoilt = frames;
  spoilt(299, 0) = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(initial_centroids(as_source(spoilt), job(5, "kmeans-parallel")),
                    Catch::Contains("made frame 299"));
}

TEST_CASE("a row that counts as many is drawn as often", "[kmeans]") {
  Matrix rows(3, 1);
  rows(1, 0) = 1;
  rows(2, 0) = 2;
  Random random(4);
  std::vector<int> first(3), second(3);
  for (int i = 0; i < 4000; ++i) {
    PlusPlus draws(rows, {6, 3, 1}, 1);
    ++first[static_cast<size_t>(draws.draw(random))];
    draws.add_centroid(rows.row(0).data());
    ++second[static_cast<size_t>(draws.draw(random))];
    draws.add_centroid(rows.row(1).data());
    draws.add_centroid(rows.row(2).data());
    CHECK(draws.draw(random) == -1);
  }
  // Weights 6 : 3 : 1, then 0 : 3 * 1 : 1 * 4; standard deviations are below 32.
  CHECK(first[0] == Approx(2400).margin(130));
  CHECK(first[1] == Approx(1200).margin(130));
  CHECK(second[0] == 0);
  CHECK(second[1] == Approx(4000 * 3 / 7.0).margin(130));
}
