#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "base/random.h"
#include "torch_probes/torch_trainers.h"

using namespace retort;

namespace {

constexpr int64_t layers = 3;
constexpr int64_t dim = 6;
constexpr int64_t classes = 4;

// Standard normal to the accuracy that a test needs.
double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

// Noise in every layer but `informative`, where dimension c is high for class c. -1: noise alone.
ProbeSplit make_split(Random& random, int64_t rows, int64_t informative) {
  ProbeSplit split;
  split.rows = rows;
  for (int64_t row = 0; row < rows; ++row) {
    split.classes.push_back(static_cast<int64_t>(random.below(classes)));
    for (int64_t layer = 0; layer < layers; ++layer)
      for (int64_t d = 0; d < dim; ++d) {
        const bool signal = layer == informative && d == split.classes.back();
        split.features.push_back(static_cast<float>(100 + normal(random) + (signal ? 12 : 0)));
      }
  }
  return split;
}

ProbeData make_data(int64_t informative) {
  Random random(5);
  ProbeData data{layers, dim, {classes}, {}, {}, {}};
  data.train = make_split(random, 400, informative);
  data.dev = make_split(random, 200, informative);
  data.test = make_split(random, 400, informative);
  return data;
}

// Each update on the whole training split.
ProbeTraining training(bool hidden, double lr, int64_t steps, uint64_t seed) {
  return {hidden, {"adam", 0, steps, 1, 0}, lr, seed, 1};
}

}  // namespace

TEST_CASE("separable classes are told apart, and the layer that does so gets the weight") {
  const ProbeData data = make_data(1);
  for (const bool hidden : {false, true}) {
    CAPTURE(hidden);
    const ProbeScore score = train_probe_by_torch(data, training(hidden, 1e-1, 200, 0));
    CHECK(score.dev_correct == data.dev.rows);
    CHECK(score.test_correct >= data.test.rows - 4);
    REQUIRE(score.layer_weights.size() == layers);
    CHECK(std::accumulate(score.layer_weights.begin(), score.layer_weights.end(), 0.0) == Approx(1));
    CHECK(std::max_element(score.layer_weights.begin(), score.layer_weights.end()) -
              score.layer_weights.begin() ==
          1);
  }
}

TEST_CASE("classes that the features do not know are guessed at chance") {
  const ProbeData data = make_data(-1);
  const ProbeScore score = train_probe_by_torch(data, training(false, 1e-2, 100, 0));
  // Four classes, 400 draws: 100 right with a standard deviation of 8.7.
  CHECK(score.test_correct > 60);
  CHECK(score.test_correct < 140);
}

TEST_CASE("a seed gives the same probe again, another seed another one") {
  const ProbeData data = make_data(0);
  const ProbeScore one = train_probe_by_torch(data, training(true, 1e-3, 20, 7));
  const ProbeScore again = train_probe_by_torch(data, training(true, 1e-3, 20, 7));
  const ProbeScore other = train_probe_by_torch(data, training(true, 1e-3, 20, 8));
  CHECK(one.test_correct == again.test_correct);
  CHECK(one.layer_weights == again.layer_weights);
  CHECK(one.layer_weights != other.layer_weights);
}

TEST_CASE("scale and offset of the features do not matter, and constant ones do no harm") {
  ProbeData data = make_data(2);
  const ProbeScore plain = train_probe_by_torch(data, training(false, 1e-1, 60, 0));
  for (ProbeSplit* split : {&data.train, &data.dev, &data.test})
    for (std::size_t i = 0; i < split->features.size(); ++i) {
      float& value = split->features[i];
      value = i % dim == dim - 1 ? 3.0f : value * 1000 - 5;
    }
  const ProbeScore scaled = train_probe_by_torch(data, training(false, 1e-1, 60, 0));
  CHECK(scaled.test_correct >= plain.test_correct - 4);
}

TEST_CASE("a row counts as right where all its slots are") {
  ProbeData data = make_data(1);
  // A second slot of two classes that the first one decides, and a third that nothing decides.
  data.classes = {classes, 2, 2};
  Random random(8);
  for (ProbeSplit* split : {&data.train, &data.dev, &data.test}) {
    std::vector<int64_t> slots;
    for (const int64_t one : split->classes)
      slots.insert(slots.end(), {one, one / 2, static_cast<int64_t>(random.below(2))});
    split->classes = slots;
  }
  const ProbeScore score = train_probe_by_torch(data, training(false, 1e-1, 200, 0));
  // 400 draws at a half: 200 with a standard deviation of 10.
  CHECK(score.test_correct > 150);
  CHECK(score.test_correct < 250);
}

TEST_CASE("batches learn what the whole split teaches, in another order for another seed") {
  const ProbeData data = make_data(1);
  const auto train = [&](uint64_t seed) {
    return train_probe_by_torch(data, {false, {"adamw", 32, 300, 50, 1}, 1e-2, seed, 1});
  };
  const ProbeScore one = train(0), again = train(0), other = train(1);
  CHECK(one.test_correct >= data.test.rows - 4);
  CHECK(one.layer_weights == again.layer_weights);
  CHECK(one.layer_weights != other.layer_weights);
}
