// The kernels of AMX with an emulated tile unit: the same source, on any CPU.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/amx_emulation.h"
#include "kernels/amx_product.h"
#include "random_values.h"

using namespace retort;

namespace {

// Rows (count, depth) that begin `stride` values apart, times columns, plus a bias and something more.
struct Problem {
  int64_t count, depth, columns, stride;
  std::vector<float> rows = random_values((count - 1) * stride + depth, 1);
  std::vector<float> weights = random_values(columns * depth, 2);
  std::vector<float> bias = random_values(columns, 3);

  Product product(int64_t first, int64_t some, std::vector<float>& out) const {
    out.assign(static_cast<size_t>(some * columns), 0);
    Product product;
    product.rows = rows.data() + first * stride;
    product.row_stride = stride;
    product.count = some;
    product.bias = bias.data();
    product.out = out.data();
    product.out_stride = columns;
    return product;
  }

  std::vector<float> in_bf16(int64_t first, int64_t some) const {
    const PackedMatrix matrix(weights.data(), depth, columns, Precision::bf16);
    std::vector<float> out;
    multiply_by_unit<EmulatedAmxUnit>(matrix.panels(), product(first, some, out));
    return out;
  }

  // `multiply(matrix, product)`.
  template <class Multiply>
  std::vector<float> in_eight_bits(int64_t segment, int64_t first, int64_t some,
                                   const Multiply& multiply) const {
    const QuantisedMatrix matrix(weights.data(), depth, columns, segment);
    std::vector<float> out;
    multiply(matrix, product(first, some, out));
    return out;
  }

  double expected(int64_t row, int64_t column) const {
    auto sum = static_cast<double>(bias[static_cast<size_t>(column)]);
    for (int64_t k = 0; k < depth; ++k)
      sum += static_cast<double>(rows[static_cast<size_t>(row * stride + k)]) *
             static_cast<double>(weights[static_cast<size_t>(column * depth + k)]);
    return sum;
  }
};

void by_unit(const QuantisedMatrix& matrix, const Product& product) {
  multiply_by_unit<EmulatedAmxUnit>(matrix, product);
}

// Shapes that no register, panel, block or pair divides; rows that overlap, that lie apart, and more steps
// than a block has.
const std::vector<Problem>& problems() {
  static const std::vector<Problem> all{{1, 1, 1, 1},         {7, 10, 33, 5},   {16, 32, 16, 32},
                                        {17, 34, 48, 34},     {65, 48, 16, 96}, {95, 770, 47, 770},
                                        {33, 1601, 31, 1700}, {70, 96, 64, 32}};
  return all;
}

}  // namespace

TEST_CASE("the tile unit's products in bf16 are those computed in f64", "[amx]") {
  for (const Problem& problem : problems()) {
    CAPTURE(problem.count, problem.depth, problem.columns);
    const std::vector<float> out = problem.in_bf16(0, problem.count);
    const double bound = 0.02 * std::sqrt(static_cast<double>(problem.depth));
    for (int64_t r = 0; r < problem.count; ++r)
      for (int64_t c = 0; c < problem.columns; ++c)
        REQUIRE(static_cast<double>(out[static_cast<size_t>(r * problem.columns + c)]) ==
                Approx(problem.expected(r, c)).margin(bound));
  }
}

TEST_CASE("a row's product by the tile unit is the same to the last bit whatever rows come with it",
          "[amx]") {
  for (const Problem& problem : problems()) {
    CAPTURE(problem.count, problem.depth, problem.columns);
    const std::vector<float> bf16 = problem.in_bf16(0, problem.count);
    const std::vector<float> int8 = problem.in_eight_bits(problem.depth, 0, problem.count, by_unit);
    for (int64_t r = 0; r < problem.count; r += 5) {
      const int64_t some = std::min<int64_t>(1 + r % 3, problem.count - r);
      const std::vector<float> bf16_rows = problem.in_bf16(r, some);
      const std::vector<float> int8_rows = problem.in_eight_bits(problem.depth, r, some, by_unit);
      REQUIRE(std::equal(bf16_rows.begin(), bf16_rows.end(), bf16.begin() + r * problem.columns));
      REQUIRE(std::equal(int8_rows.begin(), int8_rows.end(), int8.begin() + r * problem.columns));
    }
  }
}

// Whole numbers are added up without error: only what scales them may be rounded otherwise.
TEST_CASE("the tile unit's products in eight bits are VNNI's", "[amx]") {
  const std::vector<CpuPath> paths = supported_cpu_paths();
  const auto vnni = std::find_if(paths.begin(), paths.end(), has_vnni);
  if (vnni == paths.end()) {
    WARN("SKIPPED: this CPU has no VNNI");
    return;
  }
  const auto by_vnni = [&](const QuantisedMatrix& matrix, const Product& product) {
    multiply(*vnni, matrix, product);
  };
  for (const Problem& problem : problems()) {
    CAPTURE(problem.count, problem.depth, problem.columns);
    for (const int64_t segment : {problem.depth, problem.stride}) {
      if (problem.depth % segment != 0) continue;  // rows that overlap are windows over segments
      const std::vector<float> ours = problem.in_eight_bits(segment, 0, problem.count, by_unit);
      const std::vector<float> theirs = problem.in_eight_bits(segment, 0, problem.count, by_vnni);
      for (size_t i = 0; i < ours.size(); ++i) REQUIRE(ours[i] == Approx(theirs[i]).margin(1e-4));
    }
  }
}
