#include "kmeans/mini_batch.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"
#include "kmeans/frame_memory.h"
#include "kmeans/kmeans_init.h"
#include "made_frames.h"
#include "store/npy.h"

using namespace retort;

namespace {

// Overlapping groups.
Matrix grouped_frames(int64_t rows, int64_t dim, int64_t groups, uint64_t seed) {
  const Matrix middles = random_matrix(groups, dim, seed, -1, 1);
  Random random(seed + 1);
  Matrix frames(rows, dim);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < dim; ++j)
      frames(i, j) = middles(i * groups / rows, j) + static_cast<float>(random.uniform() - 0.5);
  return frames;
}

KmeansOptions job(int64_t clusters, int64_t mini_batch) {
  KmeansOptions options;
  options.clusters = clusters;
  options.engine = "native";
  options.threads = 2;
  options.mini_batch = mini_batch;
  return options;
}

std::vector<float> centroids_of(const KmeansResult& result) {
  return {result.centroids.values().begin(), result.centroids.values().end()};
}

}  // namespace

TEST_CASE("a mini-batch centroid is the mean of the frames that it got", "[kmeans]") {
  // Two groups so far apart that no centroid leaves its own: each ends as the mean of its frames in batches.
  Matrix frames(100, 1), start(2, 1);
  for (int64_t i = 0; i < 100; ++i) frames(i, 0) = static_cast<float>(i < 50 ? i : 10000 + i);
  start(0, 0) = -500;
  start(1, 0) = 9000;
  const TemporaryFolder folder;
  write_npy_matrix(folder.path() / "start.npy", start);
  KmeansOptions options = job(2, 30);
  options.init = (folder.path() / "start.npy").string();
  options.iterations = 3;
  double sums[2] = {}, counts[2] = {};
  for (int64_t batch = 0; batch < 10; ++batch)
    for (const int64_t row : batch_rows(100, 30, options.seed, batch)) {
      sums[row / 50] += static_cast<double>(frames(row, 0));
      ++counts[row / 50];
    }
  const KmeansResult result = run_kmeans(as_source(frames), options);
  CHECK(result.mini_batches.at("batches") == 10);
  CHECK(result.mini_batches.at("stopped") == "iterations");
  CHECK(result.centroids(0, 0) == Approx(sums[0] / counts[0]).epsilon(1e-6));
  CHECK(result.centroids(1, 0) == Approx(sums[1] / counts[1]).epsilon(1e-6));
  CHECK(result.sizes == std::vector<int64_t>{50, 50});
  CHECK(result.curve.size() == 1);
}

TEST_CASE("batches are ascending draws of all rows, each batch other ones", "[kmeans]") {
  std::vector<int> drawn(50);
  for (int64_t batch = 0; batch < 1000; ++batch) {
    const std::vector<int64_t> rows = batch_rows(50, 20, 3, batch);
    REQUIRE(rows.size() == 20);
    REQUIRE(std::is_sorted(rows.begin(), rows.end()));
    for (const int64_t row : rows) ++drawn[static_cast<size_t>(row)];
  }
  // 400 expected, standard deviation 20.
  CHECK(*std::min_element(drawn.begin(), drawn.end()) > 400 - 100);
  CHECK(*std::max_element(drawn.begin(), drawn.end()) < 400 + 100);
  CHECK(batch_rows(50, 20, 3, 0) != batch_rows(50, 20, 3, 1));
  CHECK(batch_rows(50, 20, 3, 0) != batch_rows(50, 20, 4, 0));
}

TEST_CASE("mini-batches come close to all iterations over all frames", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(20000, 8, 25, 5));
  const KmeansResult whole = run_kmeans(source, job(40, 0));
  const KmeansResult batches = run_kmeans(source, job(40, 2000));
  CHECK(whole.mini_batches.is_null());
  CHECK(batches.inertia < 1.02 * whole.inertia);
  CHECK(batches.inertia < 0.98 * batches.curve.front());
}

TEST_CASE("mini-batches follow from the seed, not from threads or from how frames are read", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(10000, 6, 15, 6));
  KmeansOptions options = job(20, 500);
  options.iterations = 4;
  const std::vector<float> expected = centroids_of(run_kmeans(source, options));
  options.threads = 1;
  CHECK(centroids_of(run_kmeans(source, options)) == expected);
  options.threads = 3;
  CHECK(centroids_of(run_kmeans(StreamedFrames(source, 1024), options)) == expected);
  options.seed = 1;
  CHECK(centroids_of(run_kmeans(source, options)) != expected);
}

TEST_CASE("mini-batches end when the objective no longer goes down", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(5000, 4, 10, 7));
  KmeansOptions options = job(10, 500);
  options.iterations = 500;
  options.no_improvement = 20;
  const KmeansResult result = run_kmeans(source, options);
  CHECK(result.mini_batches.at("stopped") == "no improvement");
  CHECK(result.mini_batches.at("batches").get<int64_t>() < 5000);
  options.tolerance = 0.05;  // hardly a batch counts as one that helps
  const KmeansResult sooner = run_kmeans(source, options);
  CHECK(sooner.mini_batches.at("batches").get<int64_t>() < result.mini_batches.at("batches").get<int64_t>());
  options.no_improvement = 0;
  options.iterations = 30;
  CHECK(run_kmeans(source, options).mini_batches.at("batches") == 300);
}

TEST_CASE("mini-batches that cannot be are refused", "[kmeans]") {
  const GatheredFrames source = as_source(grouped_frames(100, 2, 3, 8));
  KmeansOptions options = job(3, 0);
  options.no_improvement = 7;
  CHECK_THROWS_WITH(run_kmeans(source, options), Catch::Contains("goes with mini-batches"));
  options = job(3, -1);
  CHECK_THROWS_WITH(run_kmeans(source, options), Catch::Contains("mini-batch -1"));
  options = job(3, 10);
  options.engine = "faiss";
  CHECK_THROWS_WITH(run_kmeans(source, options), Catch::Contains("FAISS"));
}
