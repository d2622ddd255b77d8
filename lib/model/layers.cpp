#include "model/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/fields.h"

namespace retort {
namespace {

std::string known_layers(const ModelConfig& config) {
  std::string known = fmt::format("conv, proj, enc0 to enc{}, final", config.layers);
  for (const int layer : config.prediction.layers) known += fmt::format(", head{}", layer);
  return known;
}

[[noreturn]] void refuse(const std::string& text, const ModelConfig& config) {
  fail_usage("layer {} is none of this model's (it has {})", text, known_layers(config));
}

// The index written after a layer's prefix. Python's negative ones name different layers in different tools.
int parse_index(std::string_view digits, const std::string& text, const ModelConfig& config) {
  if (digits.starts_with('-')) {
    fail_usage("layer {}: a negative index is not accepted, name the layer (it has {})", text,
               known_layers(config));
  }
  int index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool canonical = digits.size() == 1 || !digits.starts_with('0');
  if (digits.empty() || !canonical || error != std::errc() || end != digits.data() + digits.size())
    refuse(text, config);
  return index;
}

Layer block_output(int index, int lowest, const std::string& text, const ModelConfig& config) {
  if (index < lowest || index > config.layers) refuse(text, config);
  return {Layer::Kind::enc, index};
}

// A state of transformers' list of them, whose last is normalised in pre-norm models.
Layer hidden_state(int index, const std::string& text, const ModelConfig& config) {
  if (config.pre_norm && index == config.layers) return {Layer::Kind::final, 0};
  return block_output(index, 0, text, config);
}

// The same list in s3prl, but for DistilHuBERT: its upstream begins with the projection and ends with the
// heads. What FitHuBERT's own upstream lists has no frame rate in common, so it is not guessed at.
Layer s3prl_state(int index, const std::string& text, const ModelConfig& config) {
  const PredictionHeads& heads = config.prediction;
  if (heads.kind == PredictionHeads::Kind::none) return hidden_state(index, text, config);
  if (heads.kind == PredictionHeads::Kind::upsampled) refuse(text, config);
  if (index == 0) return {Layer::Kind::proj, 0};
  const auto head = static_cast<size_t>(index - config.layers - 1);
  if (index > config.layers && head < heads.layers.size()) return {Layer::Kind::head, heads.layers[head]};
  return block_output(index, 1, text, config);
}

}  // namespace

std::string Layer::name() const {
  switch (kind) {
    case Kind::conv:
      return "conv";
    case Kind::proj:
      return "proj";
    case Kind::enc:
      return fmt::format("enc{}", index);
    case Kind::final:
      return "final";
    case Kind::head:
      return fmt::format("head{}", index);
  }
  return "";
}

Layer parse_layer(const std::string& text, const ModelConfig& config) {
  if (text == "conv") return {Layer::Kind::conv, 0};
  if (text == "proj") return {Layer::Kind::proj, 0};
  if (text == "final") return {Layer::Kind::final, 0};
  const auto index_after = [&](std::string_view prefix) {
    return parse_index(std::string_view(text).substr(prefix.size()), text, config);
  };
  if (text.starts_with("head")) {
    const int index = index_after("head");
    const std::vector<int>& heads = config.prediction.layers;
    if (std::find(heads.begin(), heads.end(), index) == heads.end()) refuse(text, config);
    return {Layer::Kind::head, index};
  }
  if (text.starts_with("enc")) return block_output(index_after("enc"), 0, text, config);
  if (text.starts_with("hf:")) return hidden_state(index_after("hf:"), text, config);
  if (text.starts_with("s3prl:")) return s3prl_state(index_after("s3prl:"), text, config);
  if (text.starts_with("fairseq:")) return block_output(index_after("fairseq:"), 1, text, config);
  if (text.starts_with("torchaudio:")) return block_output(index_after("torchaudio:") + 1, 1, text, config);
  if (text.starts_with('-')) parse_index(text, text, config);
  refuse(text, config);
}

std::vector<Layer> parse_layers(const std::string& text, const ModelConfig& config) {
  if (text == "all") return all_layers(config);
  std::vector<Layer> layers;
  for (const std::string& part : parts_of(text)) {
    const Layer layer = parse_layer(part, config);
    if (std::find(layers.begin(), layers.end(), layer) != layers.end()) {
      fail_usage("layers {}: {} is asked for twice", text, layer.name());
    }
    layers.push_back(layer);
  }
  return layers;
}

std::vector<Layer> all_layers(const ModelConfig& config) {
  std::vector<Layer> layers = {{Layer::Kind::conv, 0}, {Layer::Kind::proj, 0}};
  for (int i = 0; i <= config.layers; ++i) layers.push_back({Layer::Kind::enc, i});
  layers.push_back({Layer::Kind::final, 0});
  for (const int layer : config.prediction.layers) layers.push_back({Layer::Kind::head, layer});
  return layers;
}

int blocks_for(const std::vector<Layer>& layers, const ModelConfig& config) {
  int deepest = 0;
  for (const Layer& layer : layers) {
    if (layer.kind == Layer::Kind::final || layer.kind == Layer::Kind::head) return config.layers;
    if (layer.kind == Layer::Kind::enc) deepest = std::max(deepest, layer.index);
  }
  return deepest;
}

int layer_dim(const Layer& layer, const ModelConfig& config) {
  if (layer.kind == Layer::Kind::conv) return config.conv.back().channels;
  if (layer.kind == Layer::Kind::proj || layer == Layer{Layer::Kind::enc, 0}) return config.block_input();
  return layer.kind == Layer::Kind::head ? config.prediction.dim : config.hidden;
}

namespace {

bool is_behind_time_reduction(const Layer& layer) {
  return layer.kind == Layer::Kind::enc || layer.kind == Layer::Kind::final;
}

}  // namespace

int layer_hop(const Layer& layer, const ModelConfig& config) {
  return is_behind_time_reduction(layer) ? config.stride() * config.time_reduction : config.stride();
}

int64_t layer_frames(const Layer& layer, const ModelConfig& config, int64_t samples) {
  const int64_t frames = config.frames(samples);
  if (is_behind_time_reduction(layer)) return config.block_frames(frames);
  return layer.kind == Layer::Kind::head ? config.head_frames(frames) : frames;
}

int64_t least_samples(const std::vector<Layer>& layers, const ModelConfig& config) {
  const auto is_missing = [&](int64_t samples) {
    return std::any_of(layers.begin(), layers.end(),
                       [&](const Layer& layer) { return layer_frames(layer, config, samples) == 0; });
  };
  int64_t samples = config.receptive_field();
  while (is_missing(samples)) samples += config.stride();
  return samples;
}

}  // namespace retort
