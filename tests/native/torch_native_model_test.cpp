// The native engine against LibTorch's modules, for what the fixtures are too small or too few to show.
#include <catch2/catch.hpp>

#include "native/native_model.h"
#include "nn/hubert.h"

using namespace retort;

namespace {

ModelConfig small_config() {
  ModelConfig config;
  for (ConvLayerShape& layer : config.conv) layer.channels = 24;
  config.hidden = 40;
  config.layers = 3;
  config.heads = 4;
  config.ffn = 72;
  config.pos_kernel = 16;
  config.pos_groups = 4;
  return config;
}

std::vector<float> noise(int64_t samples) {
  const at::Tensor values = torch::randn({samples});
  return {values.data_ptr<float>(), values.data_ptr<float>() + samples};
}

// Sixty seconds, so that relative positions reach the last bucket, and two that are much shorter.
std::vector<std::vector<float>> waveforms() {
  return {noise(60 * 16000), noise(400), noise(5000)};
}

void check_same(const at::Tensor& theirs, const Matrix& ours) {
  REQUIRE(std::vector<int64_t>{ours.rows(), ours.columns()} == theirs.sizes().vec());
  if (theirs.numel() == 0) return;
  const at::Tensor mine = torch::from_blob(const_cast<float*>(ours.data()), {ours.rows(), ours.columns()});
  CHECK((mine - theirs).abs().max().item<double>() < 1e-4 * theirs.square().mean().sqrt().item<double>());
}

void compare(const ModelConfig& config) {
  torch::manual_seed(5);
  HubertModel network(config);
  network->eval();
  const torch::NoGradGuard no_gradient;
  for (at::Tensor& parameter : network->parameters())
    parameter.add_(torch::randn_like(parameter), 0.05);  // no bias is zero, no gate idle
  const ModelWeights weights = network->weights();
  NativeModel native(source_of(weights), {Precision::f32, 2, cpu_path()});
  const std::vector<std::vector<float>> waves = waveforms();
  const std::vector<Layer> layers = all_layers(config);
  const auto ours = native.forward(waves, layers);
  HubertForwardOptions options;
  options.prediction_heads = true;
  for (size_t u = 0; u < waves.size(); ++u) {
    const auto samples = static_cast<int64_t>(waves[u].size());
    const HubertStates states = network->forward(pad_waveforms({waves[u]}), {samples}, options);
    size_t head = 0;
    for (size_t l = 0; l < layers.size(); ++l) {
      INFO(layers[l].name() << " of utterance " << u);
      switch (layers[l].kind) {
        case Layer::Kind::conv:
          check_same(states.conv[0], ours[u][l]);
          break;
        case Layer::Kind::proj:
          check_same(states.proj[0], ours[u][l]);
          break;
        case Layer::Kind::enc:
          check_same(states.enc[static_cast<size_t>(layers[l].index)][0], ours[u][l]);
          break;
        case Layer::Kind::final:
          check_same(states.final[0], ours[u][l]);
          break;
        case Layer::Kind::head:
          check_same(states.heads[head++][0], ours[u][l]);
          break;
      }
    }
  }
}

}  // namespace

TEST_CASE("the native engine computes what LibTorch does") {
  ModelConfig config = small_config();
  SECTION("of HuBERT Base's form") {}
  SECTION("of HuBERT Large's form") {
    config.conv_norm = ConvNorm::layer;
    config.conv_bias = true;
    config.pre_norm = true;
  }
  SECTION("of WavLM's form, whose positions go far") {
    config.type = "wavlm";
    config.relative_buckets = 320;
    config.relative_distance = 800;
  }
  SECTION("with shared attention maps") {
    config.attention_period = 2;
  }
  SECTION("with a time reduction that leaves frames out, and upsampled heads") {
    config.type = "fithubert";
    config.time_reduction = 2;
    config.prediction = {PredictionHeads::Kind::upsampled, {1, 2, 3}, 56, 0};
  }
  SECTION("with a time reduction that zeros fill") {
    config.type = "fithubert";
    config.time_reduction = 2;
    config.time_reduction_fills = true;
    config.projection = false;
    config.hidden = 24;
    config.pos_groups = 3;
  }
  SECTION("with split heads") {
    config.prediction = {PredictionHeads::Kind::split, {4, 8}, 56, 32};
  }
  SECTION("with recurrent layers, both ways") {
    config.type = "hubert-lstm";
    config.blocks = BlockKind::lstm;
    config.lstm_hidden = 20;
  }
  SECTION("with recurrent layers, one way") {
    config.type = "hubert-lstm";
    config.blocks = BlockKind::lstm;
    config.lstm_hidden = 40;
    config.bidirectional = false;
  }
  SECTION("with stacked positions") {
    config.type = "data2vec-audio";
    config.positional = PositionalForm::stacked;
    config.pos_depth = 3;
    config.pos_kernel = 19;
  }
  SECTION("with a BatchNorm before the positions") {
    config.positional = PositionalForm::batch_norm;
  }
  compare(config);
}
