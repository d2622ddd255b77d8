#include "measures/softmax_regression.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "measures/lbfgs.h"

using namespace retort;

namespace {

using Rows = std::vector<std::vector<float>>;

ClassifiedFrames frames_of(const Rows& rows, const std::vector<int32_t>& classes) {
  ClassifiedFrames frames;
  frames.dim = static_cast<int64_t>(rows.front().size());
  for (const auto& row : rows) frames.rows.push_back(row.data());
  frames.classes = classes;
  return frames;
}

}  // namespace

TEST_CASE("the optimum is that of scikit-learn, whatever the threads") {
  const Json golden = read_json(RETORT_FIXTURES "/evaluate/intrinsic.json").at("regression");
  const auto rows = golden.at("rows").get<Rows>();
  const ClassifiedFrames frames = frames_of(rows, golden.at("classes").get<std::vector<int32_t>>());
  SoftmaxOptions options;
  options.classes = 4;
  options.l2 = golden.at("l2").get<double>();
  options.tolerance = 1e-5;
  options.threads = 1;
  const SoftmaxRegression model = SoftmaxRegression::train(frames, options);
  CHECK(model.converged());
  CHECK(model.loss() == Approx(golden.at("loss").get<double>()).epsilon(0).margin(1e-6));
  CHECK(model.correct(frames) == golden.at("correct").get<int64_t>());
  options.threads = 3;
  CHECK(SoftmaxRegression::train(frames, options).loss() == model.loss());
}

TEST_CASE("classes apart are told apart, whatever their scale and a dimension that never changes") {
  Rows rows;
  std::vector<int32_t> classes;
  for (int i = 0; i < 60; ++i) {
    rows.push_back({1000 + 0.01f * static_cast<float>(i % 3), 7});
    classes.push_back(i % 3);
  }
  SoftmaxOptions options;
  options.classes = 5;  // two of which never occur
  const ClassifiedFrames frames = frames_of(rows, classes);
  CHECK(SoftmaxRegression::train(frames, options).correct(frames) == 60);
}

TEST_CASE("one class is nothing to tell apart") {
  const Rows rows{{1}, {2}};
  CHECK_THROWS_WITH(SoftmaxRegression::train(frames_of(rows, {1, 1}), {2}), Catch::Contains("of one class"));
  CHECK_THROWS_WITH(SoftmaxRegression::train({}, {2}), Catch::Contains("no frame"));
}

TEST_CASE("L-BFGS finds the minimum of a narrow bowl, and says where it was not given the time") {
  const Objective bowl = [](const std::vector<double>& x, std::vector<double>& gradient) {
    double value = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double weight = std::pow(10.0, static_cast<double>(i % 4)), away = x[i] - static_cast<double>(i);
      value += weight / 2 * away * away;
      gradient[i] = weight * away;
    }
    return value;
  };
  const Minimum minimum = minimise(bowl, std::vector<double>(20), 1e-9, 200);
  CHECK(minimum.converged);
  for (std::size_t i = 0; i < 20; ++i) CHECK(minimum.point[i] == Approx(i).margin(1e-8));
  CHECK_FALSE(minimise(bowl, std::vector<double>(20), 1e-9, 2).converged);
}
