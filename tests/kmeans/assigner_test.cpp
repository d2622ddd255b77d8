#include <array>
#include <catch2/catch.hpp>
#include <cmath>

#include "cpu_paths.h"
#include "kmeans/kmeans.h"
#include "made_frames.h"

using namespace retort;

namespace {

struct Labels {
  std::vector<int32_t> labels;
  std::vector<double> distances;
};

// The definition, word for word: least squared distance in f64, the lower index where two are equal.
Labels by_definition(const Matrix& rows, const Matrix& centroids) {
  Labels found;
  for (int64_t i = 0; i < rows.rows(); ++i) {
    int32_t best = 0;
    double least = INFINITY;
    for (int64_t k = 0; k < centroids.rows(); ++k) {
      double distance = 0;
      for (int64_t j = 0; j < rows.columns(); ++j)
        distance += std::pow(static_cast<double>(rows(i, j)) - centroids(k, j), 2);
      if (distance < least) {
        least = distance;
        best = static_cast<int32_t>(k);
      }
    }
    found.labels.push_back(best);
    found.distances.push_back(least);
  }
  return found;
}

Labels assign(Assigner& assigner, const Matrix& rows, int64_t first, int64_t count) {
  Labels found{std::vector<int32_t>(static_cast<size_t>(count)),
               std::vector<double>(static_cast<size_t>(count))};
  assigner.assign(rows.row(first).data(), count, found.labels.data(), found.distances.data());
  return found;
}

Labels assign(const Matrix& rows, const Matrix& centroids, int threads = 2) {
  return assign(*make_assigner(centroids, "auto", "cpu", threads), rows, 0, rows.rows());
}

}  // namespace

TEST_CASE("labels are those of the definition, at any size and on every CPU path", "[kmeans]") {
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    for (const auto& [rows, dim, clusters] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 2}, {7, 3, 2}, {300, 39, 100}, {1000, 17, 16}, {513, 64, 33}, {700, 5, 600}}) {
      CAPTURE(to_string(path), rows, dim, clusters);
      const Matrix frames = random_matrix(rows, dim, 1);
      const Matrix centroids = random_matrix(clusters, dim, 2);
      const Labels found = assign(frames, centroids);
      const Labels expected = by_definition(frames, centroids);
      CHECK(found.labels == expected.labels);
      for (size_t i = 0; i < expected.distances.size(); ++i)
        CHECK(found.distances[i] == Approx(expected.distances[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("near ties are settled exactly even where f32 scores cannot tell", "[kmeans]") {
  // Far from the origin and close together: in f32 the scores of all centroids round to a few values.
  const Matrix frames = random_matrix(400, 24, 3, 1000, 1000.001);
  const Matrix centroids = random_matrix(50, 24, 4, 1000, 1000.001);
  const Labels expected = by_definition(frames, centroids);
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    CHECK(assign(frames, centroids).labels == expected.labels);
  }
}

TEST_CASE("of equal centroids the first is taken", "[kmeans]") {
  const Matrix frames = random_matrix(100, 8, 5);
  const Matrix some = random_matrix(20, 8, 6);
  Matrix twice(40, 8);
  for (int64_t k = 0; k < 40; ++k)
    for (int64_t j = 0; j < 8; ++j) twice(k, j) = some(k % 20, j);
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    CHECK(assign(frames, twice).labels == by_definition(frames, some).labels);
  }
}

TEST_CASE("values near the end of the f32 range are labelled, not lost", "[kmeans]") {
  Matrix frames(2, 2), centroids(2, 2);
  frames(0, 0) = 3e37f;
  frames(1, 0) = -3e37f;
  centroids(0, 0) = -2e37f;
  centroids(1, 0) = 2e37f;
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    CHECK(assign(frames, centroids).labels == std::vector<int32_t>{1, 0});
  }
}

TEST_CASE("values that are hardly there are labelled by their distances too", "[kmeans]") {
  for (const double scale : {1e-15, 1e-20, 1e-38}) {
    const Matrix frames = random_matrix(300, 6, 9, -scale, scale);
    const Matrix centroids = random_matrix(40, 6, 10, -scale, scale);
    for (const CpuPath path : supported_cpu_paths()) {
      const OnCpuPath on_path(path);
      CHECK(assign(frames, centroids).labels == by_definition(frames, centroids).labels);
    }
  }
}

TEST_CASE("a row's label and distance depend on no other row and on no thread", "[kmeans]") {
  const Matrix frames = random_matrix(2000, 13, 7);
  const Matrix centroids = random_matrix(31, 13, 8);
  for (const CpuPath path : supported_cpu_paths()) {
    const OnCpuPath on_path(path);
    const Labels whole = assign(frames, centroids, 1);
    CHECK(assign(frames, centroids, 3).labels == whole.labels);
    const auto assigner = make_assigner(centroids, "auto", "cpu", 2);
    for (const auto& [first, count] :
         std::vector<std::array<int64_t, 2>>{{0, 1}, {1, 191}, {500, 700}, {1999, 1}}) {
      const Labels part = assign(*assigner, frames, first, count);
      for (int64_t i = 0; i < count; ++i) {
        CHECK(part.labels[static_cast<size_t>(i)] == whole.labels[static_cast<size_t>(first + i)]);
        CHECK(part.distances[static_cast<size_t>(i)] == whole.distances[static_cast<size_t>(first + i)]);
      }
    }
  }
}
