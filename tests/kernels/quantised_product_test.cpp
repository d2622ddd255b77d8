#include "kernels/quantised_product.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "random_values.h"

using namespace retort;

namespace {

// Rows of `segments` segments, `step` segments apart.
struct Problem {
  int64_t count, segment, segments, step, columns;
  std::vector<float> rows = random_values(((count - 1) * step + segments) * segment, 1, 1, 0.3);
  std::vector<float> weights = random_values(columns * segments * segment, 2);
  std::vector<float> bias = random_values(columns, 3);

  int64_t depth() const { return segments * segment; }

  std::vector<float> compute(CpuPath path, int64_t first, int64_t some) const {
    const QuantisedMatrix matrix(weights.data(), depth(), columns, segment);
    std::vector<float> out(static_cast<size_t>(some * columns));
    Product product;
    product.rows = rows.data() + first * step * segment;
    product.row_stride = step * segment;
    product.count = some;
    product.bias = bias.data();
    product.out = out.data();
    product.out_stride = columns;
    multiply(path, matrix, product);
    return out;
  }
};

const std::vector<Problem>& problems() {
  static const std::vector<Problem> all{
      {1, 4, 1, 1, 1}, {70, 22, 1, 1, 35}, {67, 48, 3, 2, 33}, {9, 13, 2, 2, 50}, {65, 512, 3, 2, 64}};
  return all;
}

}  // namespace

TEST_CASE("a quantised product is within what eight bits can tell") {
  for (const Problem& problem : problems()) {
    for (const CpuPath path : supported_cpu_paths()) {
      INFO(to_string(path) << " segment " << problem.segment << " columns " << problem.columns);
      const std::vector<float> out = problem.compute(path, 0, problem.count);
      // Half a step of a weight (1/127) and of a value (2/127): errors of products add up like a random walk.
      const double bound = 0.03 * std::sqrt(static_cast<double>(problem.depth())) + 0.03;
      double squares = 0;
      for (int64_t r = 0; r < problem.count; ++r) {
        for (int64_t c = 0; c < problem.columns; ++c) {
          auto sum = static_cast<double>(problem.bias[static_cast<size_t>(c)]);
          for (int64_t k = 0; k < problem.depth(); ++k)
            sum += static_cast<double>(
                       problem.rows[static_cast<size_t>(r * problem.step * problem.segment + k)]) *
                   static_cast<double>(problem.weights[static_cast<size_t>(c * problem.depth() + k)]);
          const double error = static_cast<double>(out[static_cast<size_t>(r * problem.columns + c)]) - sum;
          REQUIRE(std::abs(error) < bound);
          squares += error * error;
        }
      }
      // Rounding has no direction: on the whole it is much less.
      const auto all = static_cast<double>(problem.count * problem.columns);
      CHECK(std::sqrt(squares / all) < 0.01 * std::sqrt(static_cast<double>(problem.depth())) + 0.01);
    }
  }
}

TEST_CASE("a row's quantised product does not depend on the rows that come with it") {
  for (const Problem& problem : problems()) {
    for (const CpuPath path : supported_cpu_paths()) {
      const std::vector<float> all = problem.compute(path, 0, problem.count);
      for (int64_t r = 0; r < problem.count; r += 5) {
        const std::vector<float> alone = problem.compute(path, r, 1);
        REQUIRE(std::equal(alone.begin(), alone.end(), all.begin() + r * problem.columns));
      }
    }
  }
}

TEST_CASE("what eight bits hold is multiplied exactly") {
  Problem problem{12, 16, 2, 1, 20};
  for (size_t i = 0; i < problem.rows.size(); ++i)
    problem.rows[i] = i % 16 < 2 ? static_cast<float>(i % 16) : static_cast<float>(i * 5 % 3 == 0);
  for (size_t i = 0; i < problem.weights.size(); ++i)
    problem.weights[i] = i % 32 == 0 ? 127.0f : static_cast<float>(static_cast<int>(i * 7 % 255) - 127);
  for (const CpuPath path : supported_cpu_paths()) {
    const std::vector<float> out = problem.compute(path, 0, problem.count);
    for (int64_t r = 0; r < problem.count; ++r) {
      for (int64_t c = 0; c < problem.columns; ++c) {
        auto sum = static_cast<double>(problem.bias[static_cast<size_t>(c)]);
        for (int64_t k = 0; k < problem.depth(); ++k)
          sum += static_cast<double>(problem.rows[static_cast<size_t>(r * problem.segment + k)]) *
                 static_cast<double>(problem.weights[static_cast<size_t>(c * problem.depth() + k)]);
        CHECK(static_cast<double>(out[static_cast<size_t>(r * problem.columns + c)]) ==
              Approx(sum).epsilon(1e-5).margin(1e-2));
      }
    }
  }
}

TEST_CASE("rows that are all the same value, and columns of zeros, are exact") {
  for (const CpuPath path : supported_cpu_paths()) {
    Problem problem{3, 8, 1, 1, 17};
    std::fill(problem.rows.begin(), problem.rows.end(), 0.75f);
    std::fill(problem.weights.begin(), problem.weights.end(), 0.0f);
    CHECK(problem.compute(path, 0, 1) == problem.bias);
    std::fill(problem.weights.begin(), problem.weights.end(), 0.5f);
    const std::vector<float> out = problem.compute(path, 0, 1);
    for (size_t c = 0; c < out.size(); ++c) CHECK(out[c] == Approx(problem.bias[c] + 3.0f));
  }
}
