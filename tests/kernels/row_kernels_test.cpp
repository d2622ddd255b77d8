#include "kernels/row_kernels.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "random_values.h"

using namespace retort;

namespace {

// Widths that fill registers, do not, and are less than one.
const std::vector<int64_t> widths = {1, 3, 16, 37, 768};
constexpr int64_t rows = 5;

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

double gelu_of(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

}  // namespace

TEST_CASE("LayerNorm is the one computed in f64") {
  for (const CpuPath path : supported_cpu_paths()) {
    for (const int64_t width : widths) {
      INFO(to_string(path) << " width " << width);
      std::vector<float> x = random_values(rows * width, 1, 3);
      for (float& value : x) value += 10;  // a mean that is no small part of the values
      const std::vector<float> weight = random_values(width, 2);
      const std::vector<float> bias = random_values(width, 3);
      for (const bool gelu : {false, true}) {
        std::vector<float> out(x.size());
        normalise_rows(path, {weight.data(), bias.data(), width, 1e-5f}, x.data(), width, rows, gelu,
                       out.data(), width);
        for (int64_t r = 0; r < rows; ++r) {
          const float* row = x.data() + r * width;
          const double mean = std::accumulate(row, row + width, 0.0) / static_cast<double>(width);
          double variance = 0;
          for (int64_t c = 0; c < width; ++c)
            variance += std::pow(static_cast<double>(row[c]) - mean, 2) / static_cast<double>(width);
          for (int64_t c = 0; c < width; ++c) {
            const auto at = static_cast<size_t>(c);
            const double normed = (static_cast<double>(row[c]) - mean) / std::sqrt(variance + 1e-5) *
                                      static_cast<double>(weight[at]) +
                                  static_cast<double>(bias[at]);
            REQUIRE(static_cast<double>(out[static_cast<size_t>(r * width + c)]) ==
                    Approx(gelu ? gelu_of(normed) : normed).margin(1e-5));
          }
        }
      }
    }
  }
}

TEST_CASE("softmax is the one computed in f64, however far apart its values are") {
  for (const CpuPath path : supported_cpu_paths()) {
    for (const int64_t width : widths) {
      for (const double scale : {1.0, 200.0}) {
        INFO(to_string(path) << " width " << width << " scale " << scale);
        const std::vector<float> x = random_values(rows * width, 4, scale);
        std::vector<float> out = x;
        softmax_rows(path, out.data(), width, rows, width);
        for (int64_t r = 0; r < rows; ++r) {
          const float* row = x.data() + r * width;
          const auto top = static_cast<double>(*std::max_element(row, row + width));
          double sum = 0;
          for (int64_t c = 0; c < width; ++c) sum += std::exp(static_cast<double>(row[c]) - top);
          for (int64_t c = 0; c < width; ++c)
            REQUIRE(static_cast<double>(out[static_cast<size_t>(r * width + c)]) ==
                    Approx(std::exp(static_cast<double>(row[c]) - top) / sum).margin(1e-7).epsilon(1e-6));
        }
      }
    }
  }
}

TEST_CASE("GELU is within a unit of f32 for small and large values") {
  std::vector<float> x;
  for (int i = -12000; i <= 12000; ++i) x.push_back(static_cast<float>(i) * 1e-3f);
  x.insert(x.end(), {-1e30f, -50, 50, 1e30f, 1e-30f});
  for (const CpuPath path : supported_cpu_paths()) {
    std::vector<float> out = x;
    gelu_values(path, out.data(), static_cast<int64_t>(out.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      INFO(to_string(path) << " of " << x[i]);
      const auto value = static_cast<double>(x[i]);
      REQUIRE(static_cast<double>(out[i]) ==
              Approx(gelu_of(value)).margin(3e-7 * std::max(1.0, std::min(std::abs(value), 4.0))));
    }
  }
}

TEST_CASE("a step of LSTM cells is the one computed in f64") {
  for (const CpuPath path : supported_cpu_paths()) {
    for (const int64_t units : widths) {
      INFO(to_string(path) << " units " << units);
      const std::vector<float> gates = random_values(4 * units, 6, 8);
      const std::vector<float> before = random_values(units, 7, 2);
      std::vector<float> cells = before;
      std::vector<float> outputs(static_cast<size_t>(units));
      step_lstm_cells(path, gates.data(), units, cells.data(), outputs.data());
      for (int64_t u = 0; u < units; ++u) {
        const auto gate = [&](int64_t g) {
          return static_cast<double>(gates[static_cast<size_t>(g * units + u)]);
        };
        const auto at = static_cast<size_t>(u);
        const double cell =
            sigmoid(gate(1)) * static_cast<double>(before[at]) + sigmoid(gate(0)) * std::tanh(gate(2));
        CHECK(static_cast<double>(cells[at]) == Approx(cell).margin(1e-6));
        CHECK(static_cast<double>(outputs[at]) == Approx(sigmoid(gate(3)) * std::tanh(cell)).margin(1e-6));
      }
    }
  }
}
