#include "kmeans/exact_sums.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "made_frames.h"

using namespace retort;

namespace {

std::vector<double> rounded(const ExactVectorSum& sum, int64_t dim) {
  std::vector<double> values(static_cast<size_t>(dim));
  sum.round_to(values.data());
  return values;
}

// Rows whose values span the whole range of f32, of both signs.
Matrix wide_rows(int64_t rows, int64_t dim, uint64_t seed) {
  Random random(seed);
  Matrix matrix(rows, dim);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < dim; ++j)
      matrix(i, j) =
          static_cast<float>(std::ldexp(2 * random.uniform() - 1, static_cast<int>(random.below(270)) - 145));
  return matrix;
}

}  // namespace

TEST_CASE("sums of vectors depend on no order, and rows leave them without a trace", "[kmeans]") {
  const Matrix rows = wide_rows(300, 9, 1);
  std::vector<int64_t> order(300);
  std::iota(order.begin(), order.end(), int64_t{0});
  ExactVectorSum expected(9);
  for (const int64_t row : order)
    if (row % 3 == 0) expected.add(rows.row(row).data());

  Random(2).shuffle(order);
  ExactVectorSum some(9), others(9);
  for (const int64_t row : order) (row % 2 == 0 ? some : others).add(rows.row(row).data());
  some.merge(others);
  Random(3).shuffle(order);
  for (const int64_t row : order)
    if (row % 3 != 0) some.subtract(rows.row(row).data());
  CHECK(rounded(some, 9) == rounded(expected, 9));
}

TEST_CASE("nothing is lost beside what is far larger", "[kmeans]") {
  ExactVectorSum sum(3);
  const float large[] = {3e38f, -1e30f, 0x1p127f}, small[] = {1, 0x1p-149f, 0.1f};
  for (int i = 0; i < 4; ++i) sum.add(large);
  sum.add(small);
  for (int i = 0; i < 4; ++i) sum.subtract(large);
  CHECK(rounded(sum, 3) == std::vector<double>{1, 0x1p-149, static_cast<double>(0.1f)});
}

TEST_CASE("sums of vectors are those of integers where these are exact", "[kmeans]") {
  Random random(4);
  ExactVectorSum sum(5);
  std::vector<int64_t> expected(5);
  for (int64_t i = 0; i < 1000; ++i) {
    float row[5];
    for (size_t j = 0; j < 5; ++j) {
      const int64_t value = static_cast<int64_t>(random.below(1 << 24)) - (1 << 23);
      row[j] = static_cast<float>(value);
      expected[j] += value;
    }
    sum.add(row);
  }
  CHECK(rounded(sum, 5) == std::vector<double>(expected.begin(), expected.end()));
}

TEST_CASE("sums of numbers are exact over the whole range of f64", "[kmeans]") {
  ExactSum sum;
  CHECK(sum.rounded() == 0);
  const std::vector<double> values{1e300, 1, -1e300, 0x1p-1074, 0.1, 1e300, -3e-300, 2.5};
  for (const double value : values) sum.add(value);
  for (const double value : {1e300, 0.1, 2.5, -3e-300, 0x1p-1074}) sum.subtract(value);
  CHECK(sum.rounded() == 1);

  ExactSum negative;
  for (int i = 0; i < 1000; ++i) negative.subtract(0.5);
  CHECK(negative.rounded() == -500);
  negative.merge(sum);
  CHECK(negative.rounded() == -499);
}
