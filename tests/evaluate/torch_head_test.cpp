#include <catch2/catch.hpp>

#include "base/random.h"
#include "evaluate/head_training.h"
#include "measures/ctc_decoding.h"

using namespace retort;

namespace {

constexpr int64_t dim = 5;

// Utterances of labels 1 .. 3, each for some frames in which dimension `label` of layer 1 is high; layer 0 is
// noise. Layout (layers, frames, dim).
struct Labelled {
  std::vector<std::vector<float>> features;
  HeadData data;

  explicit Labelled(int64_t informative) {
    Random random(3);
    for (std::vector<HeadItem>* split : {&data.train, &data.dev, &data.test}) {
      for (int i = 0; i < 24; ++i) {
        std::vector<int64_t> labels(2 + random.below(4));
        std::vector<int64_t> frames;
        for (int64_t& label : labels) {
          label = 1 + static_cast<int64_t>(random.below(3));
          frames.insert(frames.end(), 2 + random.below(3), label);
          frames.push_back(0);
        }
        const auto count = static_cast<int64_t>(frames.size());
        std::vector<float> values(static_cast<std::size_t>(2 * count * dim));
        for (float& value : values) value = static_cast<float>(random.uniform() - 0.5);
        for (int64_t t = 0; t < count; ++t)
          values[static_cast<std::size_t>((informative * count + t) * dim +
                                          frames[static_cast<std::size_t>(t)])] += 3;
        features.push_back(std::move(values));
        split->push_back({features.back().data(), count, labels});
      }
    }
    data.layers = 2;
    data.dim = dim;
  }
};

// Share of utterances whose labels are not decoded exactly.
double wrong(const std::vector<Matrix>& outputs, const std::vector<HeadItem>& items) {
  double count = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::vector<int> found = decode_greedily(outputs[i]);
    if (!std::equal(found.begin(), found.end(), items[i].targets.begin(), items[i].targets.end())) ++count;
  }
  return count / static_cast<double>(items.size());
}

HeadShape ctc_shape(int64_t lstm_layers) {
  HeadShape shape;
  shape.kind = "ctc";
  shape.outputs = 4;
  shape.lstm_layers = lstm_layers;
  shape.hidden = 12;
  if (lstm_layers > 0) shape.projection = 8;
  return shape;
}

TrainedHead train(const Labelled& labelled, const HeadShape& shape, uint64_t seed, int64_t steps = 150) {
  return train_head(labelled.data, shape, {{"adam", 8, steps, 25, 1}, 0.03, seed, 1},
                    [&](const auto& outputs) { return wrong(outputs, labelled.data.dev); });
}

}  // namespace

TEST_CASE("label sequences are learnt, by a linear head and by LSTMs, from the layer that has them") {
  const Labelled labelled(1);
  for (const int64_t lstm_layers : {0, 2}) {
    CAPTURE(lstm_layers);
    const TrainedHead head = train(labelled, ctc_shape(lstm_layers), 0);
    CHECK(head.dev_cost <= 0.1);
    CHECK(wrong(head.test_outputs, labelled.data.test) <= 0.15);
    REQUIRE(head.layer_weights.size() == 2);
    CHECK(head.layer_weights[1] > 0.5);
    CHECK(head.layer_weights[0] + head.layer_weights[1] == Approx(1));
    for (std::size_t i = 0; i < labelled.data.test.size(); ++i)
      CHECK(head.test_outputs[i].rows() == labelled.data.test[i].frames);
  }
}

TEST_CASE("an utterance's outputs do not depend on what it is batched with, and seeds repeat") {
  Labelled labelled(0);
  HeadShape shape = ctc_shape(1);
  shape.dropout = 0.1;
  shape.time_masks = shape.value_masks = 1;
  shape.time_width = shape.value_width = 2;
  const TrainedHead one = train(labelled, shape, 4, 25);
  const TrainedHead again = train(labelled, shape, 4, 25);
  const TrainedHead other = train(labelled, shape, 5, 25);
  CHECK(one.layer_weights == again.layer_weights);
  CHECK(one.layer_weights != other.layer_weights);
  labelled.data.test.erase(labelled.data.test.begin(), labelled.data.test.begin() + 23);
  const TrainedHead alone = train(labelled, shape, 4, 25);
  const std::span<const float> expected = one.test_outputs.back().values(),
                               found = alone.test_outputs.front().values();
  REQUIRE(expected.size() == found.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(1e-5));
}

TEST_CASE("a loss that is not finite stops the training") {
  Labelled labelled(1);
  for (std::vector<float>& values : labelled.features) values[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(train(labelled, ctc_shape(0), 0), Catch::Contains("not finite at step 1"));
}
