// A batch gives what each utterance gives alone, over the whole range of lengths that corpora have.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <numeric>
#include <random>

#include "model/checkpoint.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"

using namespace retort;

namespace {

namespace fs = std::filesystem;

constexpr int64_t rate = 16000;
// Largest difference over the RMS of what the utterance gives alone.
constexpr double bound = 1e-4;

using Waves = std::vector<std::vector<float>>;
using Group = std::vector<size_t>;

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

// Voices of their own pitch with noise and an offset. Lengths are spread evenly over their logarithm, ends
// included, in random order.
Waves corpus(size_t utterances, double shortest_seconds, double longest_seconds) {
  std::mt19937 engine(200);
  Waves waves;
  for (size_t i = 0; i < utterances; ++i) {
    const double place = static_cast<double>(i) / static_cast<double>(utterances - 1);
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

// All utterances in batches of `size`; with 0 in another order, in batches of 1 to 16.
std::vector<Group> groups_of(size_t utterances, size_t size) {
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

// The layers of every utterance of a group: layers[row][layer] (frames, dim), without what the batch added.
std::vector<std::vector<at::Tensor>> layers_of(HubertModel& model, const Waves& waves, const Group& group) {
  Waves batch;
  std::vector<int64_t> lengths;
  for (const size_t item : group) {
    batch.push_back(waves[item]);
    lengths.push_back(static_cast<int64_t>(waves[item].size()));
  }
  const ModelConfig& config = model->config();
  HubertForwardOptions options;
  options.prediction_heads = config.prediction.kind != PredictionHeads::Kind::none;
  const HubertStates states = model->forward(pad_waveforms(batch), lengths, options);
  std::vector<std::vector<at::Tensor>> layers(group.size());
  for (size_t row = 0; row < group.size(); ++row) {
    const auto take = [&](const at::Tensor& layer, int64_t frames) {
      layers[row].push_back(layer[static_cast<int64_t>(row)].narrow(0, 0, frames));
    };
    const int64_t frames = (lengths[row] - 80) / 320;
    const int64_t block_frames = frames / config.time_reduction + (config.time_reduction_fills ? 1 : 0);
    REQUIRE(states.frames[row] == frames);
    REQUIRE(states.block_frames[row] == block_frames);
    for (const at::Tensor& layer : {states.conv, states.proj}) take(layer, frames);
    for (const at::Tensor& layer : states.enc) take(layer, block_frames);
    take(states.final, block_frames);
    for (const at::Tensor& layer : states.heads)
      take(layer, std::min(frames, block_frames * config.time_reduction));
  }
  return layers;
}

// Largest difference that any batch makes, over all layers.
double worst_difference(HubertModel& model, const Waves& waves, std::initializer_list<size_t> batch_sizes) {
  const torch::NoGradGuard no_grad;
  const OneThreadPerOperator one_thread;  // threads would wait for each other at each of many small operators
  model->eval();
  std::vector<std::vector<at::Tensor>> alone;
  for (size_t i = 0; i < waves.size(); ++i) alone.push_back(layers_of(model, waves, {i}).front());
  double worst = 0;
  for (const size_t size : batch_sizes) {
    for (const Group& group : groups_of(waves.size(), size)) {
      const auto together = layers_of(model, waves, group);
      for (size_t row = 0; row < group.size(); ++row) {
        const std::vector<at::Tensor>& expected = alone[group[row]];
        REQUIRE(together[row].size() == expected.size());
        for (size_t layer = 0; layer < expected.size(); ++layer) {
          REQUIRE(together[row][layer].sizes() == expected[layer].sizes());
          const auto rms = expected[layer].square().mean().sqrt().item<double>();
          const auto largest = (together[row][layer] - expected[layer]).abs().max().item<double>();
          REQUIRE(std::isfinite(largest));
          worst = std::max(worst, largest / rms);
        }
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("200 utterances of 0.03 to 35 s give the same frames alone and in batches of any size",
          "[hubert]") {
  const Waves waves = corpus(200, 0.03, 35);
  for (const bool pre_norm : {false, true}) {
    INFO((pre_norm ? "pre-norm" : "post-norm"));
    torch::manual_seed(3);
    HubertModel model(tiny_config(pre_norm));
    CHECK(worst_difference(model, waves, {8, 64, 0}) < bound);
  }
}

TEST_CASE("so do models with relative positions, several positional convolutions, heads, half the frames",
          "[hubert]") {
  const Waves waves = corpus(40, 0.05, 4);  // two frames, the fewest that can be halved, and more
  for (const char* name :
       {"hf-wavlm-post/.", "wavlm-large/wavlm.pt", "hf-data2vec/.", "hf-hubert-batchnorm/.",
        "distilhubert/distilhubert.ckpt", "same-s3prl/hubert.ckpt"}) {
    INFO(name);
    HubertModel model(read_model(fs::path(RETORT_FIXTURES) / "parity" / name));
    CHECK(worst_difference(model, waves, {8, 0}) < bound);
  }
  for (const char* name : {"fithubert", "fithubert-fc1"}) {
    INFO(name);
    const fs::path folder = fs::path(RETORT_FIXTURES) / "parity" / name;
    HubertModel model(read_weights(open_checkpoint(folder / "fithubert.ckpt", folder / "fithubert.yaml")));
    CHECK(worst_difference(model, waves, {8, 0}) < bound);
  }
}

TEST_CASE("so do models whose blocks share where they look", "[hubert]") {
  ModelConfig config = tiny_config(false);
  config.type = "fithubert";
  config.attention_period = 2;
  config.layerdrop = 0;
  torch::manual_seed(4);
  HubertModel model(config);
  CHECK(worst_difference(model, corpus(40, 0.05, 4), {8, 0}) < bound);
}

TEST_CASE("blocks that share where they look do so in bf16, and near f32", "[hubert]") {
  const torch::NoGradGuard no_grad;
  ModelConfig config = tiny_config(false);
  config.type = "fithubert";
  config.attention_period = 2;
  torch::manual_seed(4);
  HubertModel model(config);
  model->eval();
  const at::Tensor waveform = torch::randn({1, 16000}) * 0.1;
  const at::Tensor exact = model->forward(waveform, {16000}).final;
  model->round_to_bf16();
  const at::Tensor near = model->forward(waveform, {16000}).final;
  CHECK(near.scalar_type() == at::kBFloat16);
  CHECK(at::cosine_similarity(near.to(at::kFloat), exact, 2).min().item<double>() > 0.999);
}

TEST_CASE("so do LSTMs, whose way back begins at each utterance's own end", "[lstm]") {
  const Waves waves = corpus(40, 0.03, 8);
  for (const char* name : {"both", "forward"}) {
    INFO(name);
    HubertModel model(read_model(fs::path(RETORT_FIXTURES) / "lstm" / name));
    CHECK(worst_difference(model, waves, {8, 0}) < bound);
  }
}
