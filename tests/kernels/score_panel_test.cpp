#include "kernels/score_panel.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "random_values.h"

using namespace retort;

namespace {

float value_of_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// Rows (count, dim), a panel (dim, 16) and norms (16).
struct Problem {
  Problem(int64_t some_rows, int64_t some_dim)
      : count(some_rows),
        dim(some_dim),
        rows(random_values(count * dim, 1)),
        panel(random_values(dim * panel_width, 2)),
        norms(random_values(panel_width, 3)) {}

  double score(int64_t row, int64_t column) const {
    double sum = static_cast<double>(norms[static_cast<size_t>(column)]);
    for (int64_t j = 0; j < dim; ++j)
      sum += static_cast<double>(rows[static_cast<size_t>(row * dim + j)]) *
             static_cast<double>(panel[static_cast<size_t>(j * panel_width + column)]);
    return sum;
  }

  std::vector<double> sorted_scores(int64_t row) const {
    std::vector<double> scores;
    for (int64_t column = 0; column < panel_width; ++column) scores.push_back(score(row, column));
    std::sort(scores.begin(), scores.end());
    return scores;
  }

  int64_t count, dim;
  std::vector<float> rows, panel, norms;
};

void check_minima(const Problem& problem, const std::vector<PanelMinima>& minima) {
  const Approx near = Approx(0).margin(1e-5 * static_cast<double>(problem.dim + 16));
  for (int64_t i = 0; i < problem.count; ++i) {
    const PanelMinima& found = minima[static_cast<size_t>(i)];
    const std::vector<double> scores = problem.sorted_scores(i);
    CHECK(static_cast<double>(found.lowest) - scores[0] == near);
    CHECK(static_cast<double>(found.second) - scores[1] == near);
    CHECK(problem.score(i, column_of(found.lowest)) - scores[0] == near);
    CHECK(problem.score(i, column_of(found.second)) - scores[1] == near);
  }
}

}  // namespace

TEST_CASE("every CPU path finds the two lowest scores of a panel, for any number of rows", "[kernels]") {
  for (const CpuPath path : supported_cpu_paths()) {
    for (const int64_t count : {1, 2, 3, 5, 8, 13, 17}) {
      for (const int64_t dim : {1, 4, 7, 39, 768}) {
        CAPTURE(to_string(path), count, dim);
        const Problem problem(count, dim);
        std::vector<const float*> rows;
        for (int64_t i = 0; i < count; ++i) rows.push_back(problem.rows.data() + i * dim);
        std::vector<PanelMinima> minima(static_cast<size_t>(count));
        score_kernels(path).minima(rows.data(), count, problem.panel.data(), problem.norms.data(), dim,
                                   minima.data());
        check_minima(problem, minima);
      }
    }
  }
}

TEST_CASE("scores, dot products and centred rows are right on every CPU path", "[kernels]") {
  for (const CpuPath path : supported_cpu_paths()) {
    for (const int64_t dim : {1, 3, 16, 39, 100}) {
      CAPTURE(to_string(path), dim);
      const ScoreKernels& kernels = score_kernels(path);
      const Problem problem(2, dim);
      const float* row = problem.rows.data();
      float scores[panel_width];
      kernels.scores(row, problem.panel.data(), problem.norms.data(), dim, scores);
      for (int64_t column = 0; column < panel_width; ++column)
        CHECK(static_cast<double>(scores[column]) == Approx(problem.score(0, column)).margin(1e-5));

      std::vector<float> centred(static_cast<size_t>(dim));
      const float square = kernels.centre(row, row + dim, dim, centred.data());
      double expected_square = 0, expected_dot = 0;
      for (int64_t j = 0; j < dim; ++j) {
        CHECK(centred[static_cast<size_t>(j)] == row[j] - row[dim + j]);
        expected_square += std::pow(static_cast<double>(row[j] - row[dim + j]), 2);
        expected_dot += static_cast<double>(row[j]) * static_cast<double>(row[dim + j]);
      }
      CHECK(static_cast<double>(square) == Approx(expected_square));
      CHECK(static_cast<double>(kernels.dot(row, row + dim, dim)) == Approx(expected_dot).margin(1e-5));
    }
  }
}

TEST_CASE("bf16 rounds to nearest even and says what it lost", "[kernels]") {
  for (const CpuPath path : supported_cpu_paths()) {
    const ScoreKernels& kernels = score_kernels(path);
    if (!kernels.round_bf16) continue;
    // Of the two halves between bf16 values, one goes down and one up, to the even one.
    std::vector<float> values{1, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -1 - 0x1.8p-8f, 0, 0x1p-140f};
    for (const float value : random_values(33, 4)) values.push_back(value);
    std::vector<uint16_t> rounded(values.size());
    const float lost = kernels.round_bf16(values.data(), static_cast<int64_t>(values.size()), rounded.data());
    CHECK(value_of_bf16(rounded[0]) == 1);
    CHECK(value_of_bf16(rounded[1]) == 1);
    CHECK(value_of_bf16(rounded[2]) == 1 + 0x1p-6f);
    CHECK(value_of_bf16(rounded[3]) == -1 - 0x1p-7f);
    double expected = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double change = static_cast<double>(values[i]) - static_cast<double>(value_of_bf16(rounded[i]));
      CHECK(std::fabs(change) <= std::fabs(static_cast<double>(values[i])) * 0x1p-8 + 0x1p-133);
      expected += change * change;
    }
    CHECK(static_cast<double>(lost) == Approx(expected));
  }
}

TEST_CASE("bf16 scores are those of the rounded values", "[kernels]") {
  for (const CpuPath path : supported_cpu_paths()) {
    const ScoreKernels& kernels = score_kernels(path);
    if (!kernels.minima_bf16) continue;
    for (const int64_t pairs : {1, 3, 20, 384}) {
      Problem problem(11, 2 * pairs);
      std::vector<uint16_t> rows(problem.rows.size()), weights(problem.panel.size());
      kernels.round_bf16(problem.rows.data(), static_cast<int64_t>(rows.size()), rows.data());
      std::transform(rows.begin(), rows.end(), problem.rows.begin(), value_of_bf16);
      std::vector<uint16_t> by_dimension(weights.size());
      kernels.round_bf16(problem.panel.data(), static_cast<int64_t>(weights.size()), by_dimension.data());
      std::transform(by_dimension.begin(), by_dimension.end(), problem.panel.begin(), value_of_bf16);
      for (int64_t j = 0; j < problem.dim; ++j)
        for (int64_t column = 0; column < panel_width; ++column)
          weights[static_cast<size_t>((j / 2 * panel_width + column) * 2 + j % 2)] =
              by_dimension[static_cast<size_t>(j * panel_width + column)];
      std::vector<const uint16_t*> pointers;
      for (int64_t i = 0; i < problem.count; ++i) pointers.push_back(rows.data() + i * problem.dim);
      std::vector<PanelMinima> minima(static_cast<size_t>(problem.count));
      kernels.minima_bf16(pointers.data(), problem.count, weights.data(), problem.norms.data(), pairs,
                          minima.data());
      check_minima(problem, minima);
    }
  }
}

TEST_CASE("RETORT_ISA chooses among what the machine has, and nothing else", "[kernels]") {
  const char* before = std::getenv("RETORT_ISA");
  const std::string kept = before ? before : "";
  for (const CpuPath path : supported_cpu_paths()) {
    setenv("RETORT_ISA", to_string(path).c_str(), 1);
    CHECK(cpu_path() == path);
  }
  setenv("RETORT_ISA", "abacus", 1);
  CHECK_THROWS_WITH(cpu_path(), Catch::Contains("abacus") && Catch::Contains("portable"));
  unsetenv("RETORT_ISA");
  CHECK(cpu_path() == supported_cpu_paths().back());
  if (before) setenv("RETORT_ISA", kept.c_str(), 1);
}
