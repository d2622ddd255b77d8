#include "kernels/product.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "random_values.h"

using namespace retort;

namespace {

double gelu_of(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

// Rows that are `stride` values apart, a matrix, a bias and something to add.
struct Problem {
  Problem(int64_t some_count, int64_t some_depth, int64_t some_columns, int64_t some_stride)
      : count(some_count),
        depth(some_depth),
        columns(some_columns),
        stride(some_stride),
        rows(random_values((count - 1) * stride + depth, 1)),
        weights(random_values(columns * depth, 2)),
        bias(random_values(columns, 3)),
        residual(random_values(count * columns, 4)) {}

  double expected(int64_t row, int64_t column, bool gelu) const {
    auto sum = static_cast<double>(bias[static_cast<size_t>(column)]);
    for (int64_t k = 0; k < depth; ++k)
      sum += static_cast<double>(rows[static_cast<size_t>(row * stride + k)]) *
             static_cast<double>(weights[static_cast<size_t>(column * depth + k)]);
    return (gelu ? gelu_of(sum) : sum) +
           static_cast<double>(residual[static_cast<size_t>(row * columns + column)]);
  }

  std::vector<float> compute(CpuPath path, Precision precision, bool gelu, int64_t first,
                             int64_t some) const {
    const PackedMatrix matrix(weights.data(), depth, columns, precision);
    std::vector<float> out(static_cast<size_t>(some * columns));
    Product product;
    product.rows = rows.data() + first * stride;
    product.row_stride = stride;
    product.count = some;
    product.bias = bias.data();
    product.gelu = gelu;
    product.residual = residual.data() + first * columns;
    product.residual_stride = columns;
    product.out = out.data();
    product.out_stride = columns;
    multiply(path, matrix.panels(), product);
    return out;
  }

  int64_t count, depth, columns, stride;
  std::vector<float> rows, weights, bias, residual;
};

// Shapes that no tile, panel, block or pair of values divides, and rows that overlap or lie apart.
const std::vector<Problem>& problems() {
  static const std::vector<Problem> all{{1, 1, 1, 1},        {7, 10, 33, 5},      {65, 48, 16, 96},
                                        {130, 770, 47, 770}, {9, 1537, 31, 2000}, {70, 96, 64, 32}};
  return all;
}

template <class Check>
void for_each_kernel(const Check& check) {
  for (const CpuPath path : supported_cpu_paths())
    for (const Precision precision : {Precision::f32, Precision::bf16})
      if (has_precision(path, precision)) check(path, precision);
}

}  // namespace

TEST_CASE("a product with its bias, GELU and residual is the one computed in f64") {
  for (const Problem& problem : problems()) {
    for_each_kernel([&](CpuPath path, Precision precision) {
      for (const bool gelu : {false, true}) {
        INFO(to_string(path) << " " << to_string(precision) << " depth " << problem.depth << " gelu "
                             << gelu);
        const std::vector<float> out = problem.compute(path, precision, gelu, 0, problem.count);
        // Values are rounded to 8 bits each; errors of products add up like a random walk.
        const double bound = precision == Precision::f32
                                 ? 1e-5 * std::sqrt(static_cast<double>(problem.depth))
                                 : 0.02 * std::sqrt(static_cast<double>(problem.depth));
        for (int64_t r = 0; r < problem.count; ++r)
          for (int64_t c = 0; c < problem.columns; ++c)
            REQUIRE(static_cast<double>(out[static_cast<size_t>(r * problem.columns + c)]) ==
                    Approx(problem.expected(r, c, gelu)).margin(bound));
      }
    });
  }
}

TEST_CASE("a row's product is the same to the last bit whatever rows come with it") {
  for (const Problem& problem : problems()) {
    for_each_kernel([&](CpuPath path, Precision precision) {
      INFO(to_string(path) << " " << to_string(precision) << " depth " << problem.depth);
      const std::vector<float> all = problem.compute(path, precision, true, 0, problem.count);
      for (int64_t r = 0; r < problem.count; r += 3) {
        const std::vector<float> alone = problem.compute(path, precision, true, r, 1);
        REQUIRE(std::equal(alone.begin(), alone.end(), all.begin() + r * problem.columns));
      }
    });
  }
}

TEST_CASE("panels are packed alike from columns and from rows") {
  const int64_t depth = 21;
  const int64_t columns = 37;
  const std::vector<float> by_column = random_values(depth * columns, 5);
  std::vector<float> by_row(by_column.size());
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t k = 0; k < depth; ++k)
      by_row[static_cast<size_t>(k * columns + c)] = by_column[static_cast<size_t>(c * depth + k)];
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const auto bytes = static_cast<size_t>(panel_bytes(depth, columns, precision));
    std::vector<std::byte> one(bytes), other(bytes, std::byte{255});
    pack_panels(by_column.data(), depth, 1, depth, columns, precision, one.data());
    pack_panels(by_row.data(), 1, columns, depth, columns, precision, other.data());
    CHECK(one == other);
  }
}

TEST_CASE("a precision has a name, and another name is an error") {
  for (const Precision precision : {Precision::f32, Precision::bf16})
    CHECK(parse_precision(to_string(precision)) == precision);
  CHECK_THROWS_WITH(parse_precision("f31"), "--precision f31: should be f32, bf16 or int8");
}
