#include "report/axis.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

using namespace retort;

namespace {

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> texts;
  for (const Tick& tick : axis.ticks()) texts.push_back(tick.label);
  return texts;
}

using Labels = std::vector<std::string>;

}  // namespace

TEST_CASE("ticks of a linear axis lie at round values") {
  CHECK(labels(Axis::linear(2.24, 4.48, true)) == Labels{"2.0", "2.5", "3.0", "3.5", "4.0", "4.5"});
  CHECK(labels(Axis::linear(0, 2400, false)) == Labels{"0", "500", "1000", "1500", "2000"});
  CHECK(labels(Axis::linear(0, 400000, false)) == Labels{"0", "100k", "200k", "300k", "400k"});
  CHECK(labels(Axis::linear(-0.7, 0.9, true)) == Labels{"-1.0", "-0.5", "0.0", "0.5", "1.0"});
  CHECK(labels(Axis::linear(0, 2.1e-5, true)) ==
        Labels{"0", "5e-06", "1e-05", "1.5e-05", "2e-05", "2.5e-05"});
  CHECK(labels(Axis::linear(3, 1, false)) == labels(Axis::linear(1, 3, false)));
}

TEST_CASE("a linear axis covers its range with few ticks, whatever the range") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-30, 30);
  std::uniform_real_distribution<double> digits(-1, 1);
  for (int i = 0; i < 2000; ++i) {
    const double low = digits(random) * std::pow(10, exponent(random));
    const double high = low + std::abs(digits(random)) * std::pow(10, exponent(random));
    const Axis axis = Axis::linear(low, high, true);
    INFO(low << " to " << high);
    CHECK(axis.low() <= low + (high - low) * 1e-5);
    CHECK(axis.high() >= high - (high - low) * 1e-5);
    CHECK(axis.ticks().size() >= 2);
    CHECK(axis.ticks().size() <= 8);
    CHECK(axis.place(axis.ticks().front().value) == Approx(0).margin(1e-9));
    CHECK(axis.place(axis.ticks().back().value) == Approx(1));
    for (std::size_t k = 1; k < axis.ticks().size(); ++k)
      CHECK(axis.ticks()[k].label != axis.ticks()[k - 1].label);
  }
}

TEST_CASE("a single value has a range around it") {
  for (const double value : {0.0, 2.0, -3e-8, 1e15}) {
    const Axis axis = Axis::linear(value, value, true);
    CHECK(axis.low() < value);
    CHECK(axis.high() > value);
    CHECK(axis.place(value) == Approx(0.5).margin(0.3));
  }
}

TEST_CASE("the largest doubles have a place") {
  const Axis axis = Axis::linear(-1.7e308, 1.7e308, true);
  CHECK(axis.place(1.7e308) == 1);
  CHECK(axis.place(-1.7e308) == 0);
  CHECK(axis.place(0) == Approx(0.5));
  const Axis logarithmic = Axis::logarithmic(5e-324, 1.7e308);
  CHECK(logarithmic.place(1) == Approx(0.5).margin(0.1));
  CHECK(logarithmic.ticks().size() <= 12);
}

TEST_CASE("a logarithmic axis has ticks at decades, and within few of them") {
  CHECK(labels(Axis::logarithmic(0.0008, 0.07)) ==
        Labels{"0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"});
  CHECK(labels(Axis::logarithmic(0.5, 3000)) == Labels{"0.1", "1", "10", "100", "1000", "1e+04"});
  CHECK(labels(Axis::logarithmic(10, 10)) == Labels{"10", "20"});
  const Axis axis = Axis::logarithmic(1, 10000);
  CHECK(axis.place(1) == 0);
  CHECK(axis.place(10) == Approx(0.25));
  CHECK(axis.place(10000) == 1);
  CHECK(axis.place(0) == 0);
  CHECK(axis.place(1e9) == 1);
}

TEST_CASE("an axis is logarithmic where half the curve would lie on the ground") {
  CHECK(Axis::fitting({70, 1.5, 1.2, 1.1, 1}).is_logarithmic());
  CHECK_FALSE(Axis::fitting({4.5, 4, 3, 2.5, 2.2}).is_logarithmic());
  CHECK_FALSE(
      Axis::fitting({2e-3, 1.5e-3, 1e-3, 5e-4, 1e-9}).is_logarithmic());  // a learning rate that ends at 0
  CHECK_FALSE(Axis::fitting({70, 1, 1, 1, 0}).is_logarithmic());
  CHECK_FALSE(Axis::fitting({70, 1, 1, 1, -1}).is_logarithmic());
}
