// A batch gives what each utterance gives alone, over the whole range of lengths that corpora have.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>

#include "nn/hubert.h"
#include "nn/torch_device.h"

using namespace retort;

namespace {

constexpr size_t utterances = 200;
constexpr double shortest_seconds = 0.03, longest_seconds = 35;
constexpr int64_t rate = 16000;
// Largest difference over the RMS of what the utterance gives alone.
constexpr double bound = 1e-4;

ModelConfig tiny_config(bool pre_norm) {
  ModelConfig config;
  for (ConvLayerShape& layer : config.conv) layer.channels = 6;
  config.conv_norm = pre_norm ? ConvNorm::layer : ConvNorm::group;
  config.hidden = 8;
  config.layers = 2;
  config.heads = 2;
  config.ffn = 12;
  config.pos_kernel = 16;
  config.pos_groups = 2;
  config.pre_norm = pre_norm;
  return config;
}

// A voice of its own pitch with noise and an offset each. Lengths are spread evenly over their logarithm.
std::vector<std::vector<float>> corpus() {
  std::mt19937 engine(200);
  std::vector<std::vector<float>> waves;
  for (size_t i = 0; i < utterances; ++i) {
    const double place = static_cast<double>(i) / (utterances - 1);
    const double seconds = shortest_seconds * std::pow(longest_seconds / shortest_seconds, place);
    std::vector<float> wave(static_cast<size_t>(std::lround(seconds * static_cast<double>(rate))));
    const double step = 2 * std::numbers::pi * (90 + static_cast<double>(i)) / static_cast<double>(rate);
    for (size_t t = 0; t < wave.size(); ++t) {
      const double noise = static_cast<double>(engine()) / 4294967296.0 - 0.5;
      const double tone =
          std::sin(step * static_cast<double>(t)) * (1 + std::sin(1e-4 * static_cast<double>(t)));
      wave[t] = static_cast<float>(0.1 * tone + 0.05 * noise + 0.01);
    }
    waves.push_back(std::move(wave));
  }
  std::shuffle(waves.begin(), waves.end(), engine);
  return waves;
}

std::vector<at::Tensor> layers_of(const HubertStates& states) {
  return {states.conv, states.proj, states.enc.front(), states.enc.back(), states.final};
}

using Group = std::vector<size_t>;

HubertStates run(HubertModel& model, const std::vector<std::vector<float>>& waves, const Group& group) {
  std::vector<std::vector<float>> batch;
  std::vector<int64_t> lengths;
  for (const size_t item : group) {
    batch.push_back(waves[item]);
    lengths.push_back(static_cast<int64_t>(waves[item].size()));
  }
  return model->forward(pad_waveforms(batch), lengths);
}

// All utterances in batches of `size`; with 0 in another order, in batches of 1 to 16.
std::vector<Group> groups_of(size_t size) {
  std::vector<size_t> order(utterances);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937 engine(7);
  if (size == 0) std::shuffle(order.begin(), order.end(), engine);
  std::vector<Group> groups;
  for (size_t begin = 0; begin < utterances;) {
    const size_t end = std::min(utterances, begin + (size > 0 ? size : 1 + engine() % 16));
    groups.emplace_back(order.begin() + static_cast<int64_t>(begin),
                        order.begin() + static_cast<int64_t>(end));
    begin = end;
  }
  return groups;
}

}  // namespace

TEST_CASE("200 utterances of 0.03 to 35 s give the same frames alone and in batches of any size",
          "[hubert]") {
  const torch::NoGradGuard no_grad;
  const OneThreadPerOperator one_thread;  // threads would wait for each other at each of many small operators
  const std::vector<std::vector<float>> waves = corpus();
  for (const bool pre_norm : {false, true}) {
    torch::manual_seed(3);
    HubertModel model(tiny_config(pre_norm));
    model->eval();
    std::vector<std::vector<at::Tensor>> alone;
    for (size_t i = 0; i < utterances; ++i) alone.push_back(layers_of(run(model, waves, {i})));
    for (const size_t size : {size_t{8}, size_t{64}, size_t{0}}) {
      double worst = 0;
      for (const Group& group : groups_of(size)) {
        const HubertStates states = run(model, waves, group);
        const std::vector<at::Tensor> together = layers_of(states);
        for (size_t row = 0; row < group.size(); ++row) {
          const std::vector<at::Tensor>& expected = alone[group[row]];
          const auto samples = static_cast<int64_t>(waves[group[row]].size());
          REQUIRE(states.frames[row] == (samples - 80) / 320);
          for (size_t layer = 0; layer < expected.size(); ++layer) {
            REQUIRE(expected[layer].size(1) == states.frames[row]);
            const at::Tensor valid =
                together[layer][static_cast<int64_t>(row)].narrow(0, 0, states.frames[row]);
            const at::Tensor& reference = expected[layer][0];
            const auto rms = reference.square().mean().sqrt().item<double>();
            worst = std::max(worst, (valid - reference).abs().max().item<double>() / rms);
          }
        }
      }
      INFO((pre_norm ? "pre-norm" : "post-norm") << ", batches of " << size);
      CHECK(worst < bound);
    }
  }
}
