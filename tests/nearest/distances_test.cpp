#include "nearest/distances.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "base/random.h"
#include "nearest/assigner.h"

using namespace retort;

namespace {

Matrix random_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (float& value : values) value = static_cast<float>(random.uniform());
  return {rows, columns, std::move(values)};
}

}  // namespace

TEST_CASE("all distances are those that labels are defined by, with any number of threads") {
  const Matrix frames = random_matrix(300, 37, 1), centroids = random_matrix(50, 37, 2);
  const Matrix distances = squared_distances(frames, centroids, 1);
  REQUIRE(distances.rows() == 300);
  REQUIRE(distances.columns() == 50);
  std::vector<int32_t> labels(300);
  std::vector<double> nearest(300);
  make_native_assigner(centroids, 1)->assign(frames.data(), 300, labels.data(), nearest.data());
  for (int64_t row = 0; row < 300; ++row) {
    const auto index = static_cast<std::size_t>(row);
    CHECK(distances(row, labels[index]) == static_cast<float>(nearest[index]));
    for (int64_t k = 0; k < 50; ++k) CHECK(distances(row, k) >= distances(row, labels[index]));
  }
  const Matrix threaded = squared_distances(frames, centroids, 3);
  CHECK(std::equal(distances.values().begin(), distances.values().end(), threaded.values().begin()));
  CHECK(squared_distances(Matrix(0, 37), centroids, 2).rows() == 0);
}
