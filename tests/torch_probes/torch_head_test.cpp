#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "measures/ctc_decoding.h"
#include "torch_probes/torch_trainers.h"

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
  return train_head_by_torch(labelled.data, shape, {{"adam", 8, steps, 25, 1}, 0.03, seed, 1},
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

namespace {

// Items whose frames are `level(item, frame)` in one dimension plus noise, with targets by `target(item)`.
template <class Level, class Target>
std::vector<HeadItem> make_items(std::vector<std::vector<float>>& memory, uint64_t seed, const Level& level,
                                 const Target& target) {
  Random random(seed);
  std::vector<HeadItem> items;
  for (int i = 0; i < 30; ++i) {
    const auto frames = 20 + static_cast<int64_t>(random.below(20));
    std::vector<float> values(static_cast<std::size_t>(frames * dim));
    for (float& value : values) value = static_cast<float>(random.uniform() - 0.5);
    for (int64_t t = 0; t < frames; ++t)
      for (const int64_t d : level(i, t)) values[static_cast<std::size_t>(t * dim + d)] += 3;
    memory.push_back(std::move(values));
    items.push_back({memory.back().data(), frames, target(i, frames)});
  }
  return items;
}

}  // namespace

TEST_CASE("embeddings of a speaker are near each other, whatever they are batched with") {
  std::vector<std::vector<float>> memory;
  HeadData data{1, dim, {}, {}, {}};
  const auto level = [](int i, int64_t) { return std::vector<int64_t>{i % 3}; };
  const auto target = [](int i, int64_t) { return std::vector<int64_t>{i % 3}; };
  data.train = make_items(memory, 1, level, target);
  data.dev = make_items(memory, 2, level, target);
  data.test = make_items(memory, 3, level, target);
  HeadShape shape;
  shape.kind = "xvector";
  shape.outputs = 3;
  shape.projection = shape.hidden = shape.pooled = shape.embedding = 8;
  const auto distance = [](const Matrix& a, const Matrix& b) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t d = 0; d < a.columns(); ++d) {
      ab += static_cast<double>(a(0, d)) * static_cast<double>(b(0, d));
      aa += static_cast<double>(a(0, d)) * static_cast<double>(a(0, d));
      bb += static_cast<double>(b(0, d)) * static_cast<double>(b(0, d));
    }
    return 1 - ab / std::sqrt(aa * bb);
  };
  const auto train_xvector = [&] {
    return train_head_by_torch(data, shape, {{"adamw", 8, 60, 20, 10}, 0.01, 0, 1}, [&](const auto& outputs) {
      return distance(outputs[0], outputs[3]) - distance(outputs[0], outputs[1]);
    });
  };
  const std::vector<Matrix> all = train_xvector().test_outputs;
  REQUIRE(all.front().rows() == 1);
  REQUIRE(all.front().columns() == 8);
  CHECK(distance(all[0], all[3]) < 0.2);
  CHECK(distance(all[0], all[1]) > 0.5);
  data.test.resize(1);
  const std::vector<Matrix> alone = train_xvector().test_outputs;
  for (int64_t d = 0; d < 8; ++d) CHECK(alone[0](0, d) == Approx(all[0](0, d)).margin(1e-5));
}

TEST_CASE("voices are told apart in whatever order the targets name them") {
  std::vector<std::vector<float>> memory;
  HeadData data{1, dim, {}, {}, {}};
  // Voice 0 speaks in the first 12 frames, voice 1 from frame 8 on. Every other target names them the other
  // way round.
  const auto level = [](int, int64_t t) {
    return t < 8 ? std::vector<int64_t>{0} : t < 12 ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{1};
  };
  const auto target = [](int i, int64_t frames) {
    std::vector<int64_t> active(static_cast<std::size_t>(2 * frames), 0);
    for (int64_t t = 0; t < frames; ++t) {
      active[static_cast<std::size_t>(2 * t + i % 2)] = t < 12 ? 1 : 0;
      active[static_cast<std::size_t>(2 * t + 1 - i % 2)] = t >= 8 ? 1 : 0;
    }
    return active;
  };
  data.train = make_items(memory, 1, level, target);
  data.dev = make_items(memory, 2, level, target);
  data.test = make_items(memory, 3, level, target);
  HeadShape shape;
  shape.kind = "turns";
  shape.outputs = 2;
  shape.lstm_layers = 1;
  shape.hidden = 12;
  // Frames that are wrong in the better of both orders.
  const auto wrong_frames = [](const std::vector<Matrix>& outputs, const std::vector<HeadItem>& items) {
    double wrong = 0, frames = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      double straight = 0, crossed = 0;
      for (int64_t t = 0; t < items[i].frames; ++t)
        for (int64_t voice = 0; voice < 2; ++voice) {
          const bool said = items[i].targets[static_cast<std::size_t>(2 * t + voice)] == 1;
          straight += said != (outputs[i](t, voice) >= 0.5F) ? 1 : 0;
          crossed += said != (outputs[i](t, 1 - voice) >= 0.5F) ? 1 : 0;
        }
      wrong += std::min(straight, crossed);
      frames += static_cast<double>(2 * items[i].frames);
    }
    return wrong / frames;
  };
  const TrainedHead head =
      train_head_by_torch(data, shape, {{"adam", 8, 150, 25, 1}, 0.02, 0, 1},
                          [&](const auto& outputs) { return wrong_frames(outputs, data.dev); });
  CHECK(wrong_frames(head.test_outputs, data.test) < 0.05);
}
