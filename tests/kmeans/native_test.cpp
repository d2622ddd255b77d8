// The native engine against the definition of a label: on every CPU path, with bounds and without.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "cpu_paths.h"
#include "kernels/exact_distance.h"
#include "kmeans/passes.h"
#include "made_frames.h"
#include "nearest/centroid_groups.h"
#include "nearest/native_search.h"

using namespace retort;

namespace {

KmeansOptions native_job(bool exhaustive, int threads = 2) {
  KmeansOptions options;
  options.engine = "native";
  options.exhaustive = exhaustive;
  options.threads = threads;
  return options;
}

double distance(const Matrix& frames, int64_t row, const Matrix& centroids, int64_t centroid) {
  return squared_distance(frames.row(row).data(), centroids.row(centroid).data(), frames.columns());
}

std::vector<int32_t> labels_by_definition(const Matrix& frames, const Matrix& centroids) {
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < frames.rows(); ++i) {
    int32_t best = 0;
    for (int32_t k = 1; k < centroids.rows(); ++k)
      if (distance(frames, i, centroids, k) < distance(frames, i, centroids, best)) best = k;
    labels.push_back(best);
  }
  return labels;
}

// Lloyd's update in f64, one frame after the other; empty clusters stay.
Matrix means_by_definition(const Matrix& frames, const std::vector<int32_t>& labels, const Matrix& before) {
  Matrix means = before;
  std::vector<double> sums(static_cast<size_t>(before.columns()));
  for (int64_t k = 0; k < before.rows(); ++k) {
    std::fill(sums.begin(), sums.end(), 0.0);
    int64_t size = 0;
    for (int64_t i = 0; i < frames.rows(); ++i) {
      if (labels[static_cast<size_t>(i)] != k) continue;
      ++size;
      for (int64_t j = 0; j < before.columns(); ++j)
        sums[static_cast<size_t>(j)] += static_cast<double>(frames(i, j));
    }
    for (int64_t j = 0; j < before.columns() && size > 0; ++j)
      means(k, j) = static_cast<float>(sums[static_cast<size_t>(j)] / static_cast<double>(size));
  }
  return means;
}

void move_to_means(const Clusters& clusters, Matrix& centroids) {
  for (int64_t k = 0; k < centroids.rows(); ++k)
    for (int64_t j = 0; j < centroids.columns() && clusters.sizes[static_cast<size_t>(k)] > 0; ++j)
      centroids(k, j) = static_cast<float>(clusters.sums[static_cast<size_t>(k * centroids.columns() + j)] /
                                           static_cast<double>(clusters.sizes[static_cast<size_t>(k)]));
}

bool same(const Matrix& a, const Matrix& b) {
  return std::equal(a.values().begin(), a.values().end(), b.values().begin(), b.values().end());
}

}  // namespace

TEST_CASE("every pass labels as the definition asks, with bounds and without, on every CPU path",
          "[kmeans]") {
  // Sizes: less than a panel, several, one that is not full; dimensions odd and even; far from the origin.
  struct Job {
    int64_t rows, dim, clusters;
    float offset;
  };
  for (const Job& job :
       {Job{700, 9, 5, 0}, Job{1700, 24, 48, 100}, Job{2500, 17, 90, 0}, Job{400, 1, 3, 7}}) {
    Matrix frames = frames_with_copies(job.rows, job.dim, 30, 1);
    for (int64_t i = 0; i < job.rows; ++i)
      for (int64_t j = 0; j < job.dim; ++j) frames(i, j) += job.offset;
    const GatheredFrames source = as_source(frames);
    for (const CpuPath path : supported_cpu_paths()) {
      for (const bool exhaustive : {false, true}) {
        CAPTURE(to_string(path), exhaustive, job.rows, job.clusters);
        const OnCpuPath on_path(path);
        const KmeansOptions options = native_job(exhaustive);
        Passes passes(source, options);
        Progress progress("test", "frames", 0);
        Matrix centroids = first_rows(frames, job.clusters);
        for (int pass = 0; pass < 6; ++pass) {
          const Clusters clusters = passes.run(centroids, progress);
          const std::vector<int32_t> expected = labels_by_definition(frames, centroids);
          REQUIRE(passes.labels() == expected);
          double inertia = 0;
          for (int64_t i = 0; i < job.rows; ++i)
            inertia += distance(frames, i, centroids, expected[static_cast<size_t>(i)]);
          CHECK(clusters.inertia == Approx(inertia).epsilon(1e-9));
          Matrix moved = centroids;
          move_to_means(clusters, moved);
          CHECK(same(moved, means_by_definition(frames, expected, centroids)));
          centroids = std::move(moved);
        }
      }
    }
  }
}

TEST_CASE("centroids that jump, stay or coincide between passes mislead no bound", "[kmeans]") {
  const Matrix frames = frames_with_copies(1200, 12, 20, 5);
  const GatheredFrames source = as_source(frames);
  const KmeansOptions options = native_job(false);
  Passes passes(source, options);
  Progress progress("test", "frames", 0);
  Matrix centroids = first_rows(frames, 40);
  for (uint64_t pass = 0; pass < 8; ++pass) {
    passes.run(centroids, progress);
    REQUIRE(passes.labels() == labels_by_definition(frames, centroids));
    Random random(pass);
    for (int64_t k = 0; k < 40; ++k) {
      if (random.below(3) > 0) continue;
      const auto onto = static_cast<int64_t>(random.below(1200));
      for (int64_t j = 0; j < 12; ++j) centroids(k, j) = frames(onto, j);
    }
  }
}

TEST_CASE("bounds hold", "[kmeans]") {
  const int64_t dim = 37, clusters = 50;
  const Matrix frames = frames_with_copies(NativeSearch::block_rows, dim, 25, 6);
  const Matrix centroids = random_matrix(clusters, dim, 12, -3, 4);
  for (const CpuPath path : supported_cpu_paths()) {
    CAPTURE(to_string(path));
    const PanelledCentroids panelled(centroids, group_centroids(centroids, panel_width), score_kernels(path));
    const int64_t stride = lowers_stride(panelled.panels());
    std::vector<float> lowers(static_cast<size_t>(frames.rows() * stride));
    std::vector<FrameBounds> bounds(static_cast<size_t>(frames.rows()));
    std::vector<const float*> rows;
    for (int64_t i = 0; i < frames.rows(); ++i) {
      rows.push_back(frames.row(i).data());
      bounds[static_cast<size_t>(i)].lowers = lowers.data() + i * stride;
    }
    NativeSearch(panelled).search(rows.data(), frames.rows(), bounds.data());
    for (int64_t i = 0; i < frames.rows(); ++i) {
      const FrameBounds& of_row = bounds[static_cast<size_t>(i)];
      CHECK(static_cast<double>(of_row.upper) >= std::sqrt(distance(frames, i, centroids, of_row.label)));
      // Not so loose either that they would be of no use.
      CHECK(static_cast<double>(of_row.upper) <
            1.02 * std::sqrt(distance(frames, i, centroids, of_row.label)));
      for (int64_t p = 0; p < panelled.panels(); ++p)
        for (const int32_t k : panelled.members(p)) {
          if (k == of_row.label) continue;
          CHECK(static_cast<double>(of_row.lowers[p]) <= std::sqrt(distance(frames, i, centroids, k)));
        }
    }
  }
}

TEST_CASE("bounds shift to the safe side and their least is found", "[kmeans]") {
  std::vector<float> lowers{5, 3, 0.5f, 9, 1e-3f, 7, 8, std::numeric_limits<float>::max()};
  const std::vector<float> before = lowers, drifts{1, 1, 1, 0, 0, 2, 0.1f, 0};
  const float least = shift_lowers(lowers.data(), drifts.data(), 8);
  for (size_t p = 0; p < 8; ++p) {
    const double exact = std::max(0.0, static_cast<double>(before[p]) - static_cast<double>(drifts[p]));
    CHECK(static_cast<double>(lowers[p]) <= exact);
    CHECK(static_cast<double>(lowers[p]) >= exact * (1 - 1e-6));
  }
  CHECK(least == 0);
}

TEST_CASE("rows in another order, threads, shards and CPU paths give the same bytes", "[kmeans]") {
  const int64_t rows = 3000, dim = 11;
  const Matrix frames = frames_with_copies(rows, dim, 20, 7);
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random(8).shuffle(order);
  Matrix shuffled(rows, dim);
  for (int64_t i = 0; i < rows; ++i)
    std::copy_n(frames.row(order[static_cast<size_t>(i)]).data(), dim, shuffled.row(i).data());

  const auto run = [&](const Matrix& matrix, bool exhaustive, int threads) {
    const GatheredFrames source = as_source(matrix);
    const KmeansOptions options = native_job(exhaustive, threads);
    Passes passes(source, options);
    Progress progress("test", "frames", 0);
    Matrix centroids = first_rows(frames, 33);
    for (int pass = 0; pass < 5; ++pass) move_to_means(passes.run(centroids, progress), centroids);
    return centroids;
  };
  const Matrix expected = run(frames, false, 1);
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    CHECK(same(run(frames, false, 2), expected));
    CHECK(same(run(frames, true, 3), expected));
    CHECK(same(run(shuffled, false, 1), expected));
  }
}

TEST_CASE("sums over parts of the frames merge to those over all", "[kmeans]") {
  const Matrix frames = frames_with_copies(1000, 6, 10, 9);
  const Matrix centroids = first_rows(frames, 20);
  const KmeansOptions options = native_job(false);
  Progress progress("test", "frames", 0);
  const GatheredFrames whole = as_source(frames);
  Passes over_all(whole, options);
  const Clusters expected = over_all.run(centroids, progress);
  for (const int64_t parts : {4, 16}) {
    ClusterSums merged(20, CentredCentroids(centroids).mean);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = 1000 * part / parts, last = 1000 * (part + 1) / parts;
      Matrix some(last - first, 6);
      std::copy_n(frames.row(first).data(), (last - first) * 6, some.data());
      const GatheredFrames source = as_source(some);
      Passes passes(source, options);
      passes.run(centroids, progress);
      merged.merge(passes.sums());
    }
    const Clusters found = merged.about(centroids);
    CHECK(found.sums == expected.sums);
    CHECK(found.sizes == expected.sizes);
    CHECK(found.spread == expected.spread);
    CHECK(found.inertia == expected.inertia);
  }
}

TEST_CASE("groups of centroids are a permutation, and neighbours share them", "[kmeans]") {
  // Two heaps of sixteen, interleaved.
  Matrix centroids = random_matrix(32, 3, 10);
  for (int64_t k = 0; k < 32; k += 2) centroids(k, 1) += 50;
  const std::vector<int32_t> order = group_centroids(centroids, 16);
  for (size_t i = 0; i < 32; ++i) CHECK(order[i] % 2 == order[i / 16 * 16] % 2);
  for (const int64_t clusters : {1, 15, 16, 17, 100}) {
    std::vector<int32_t> all = group_centroids(random_matrix(clusters, 2, 11), 16);
    std::sort(all.begin(), all.end());
    std::vector<int32_t> expected(static_cast<size_t>(clusters));
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(all == expected);
  }
  // Centroids that are all the same cannot be halved by distance.
  CHECK(group_centroids(Matrix(40, 2), 16).size() == 40);
}
