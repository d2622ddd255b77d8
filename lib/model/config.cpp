#include "model/config.h"

#include <algorithm>

#include "model/normalise.h"

namespace retort {
namespace {

void require(bool holds, const std::string& where, std::string_view what) {
  if (!holds) fail("{}: {}", where, what);
}

void check_conv(const ModelConfig& config, const std::string& where) {
  require(!config.conv.empty(), where, "the conv stack should have at least one layer");
  for (const ConvLayerShape& layer : config.conv)
    require(layer.channels > 0 && layer.kernel > 0 && layer.stride > 0, where,
            "the conv layers' numbers should be positive");
}

void check_positions(const ModelConfig& config, const std::string& where) {
  require(config.pos_kernel > 0 && config.pos_groups > 0 && config.pos_depth > 0, where,
          "the positional convolution's numbers should be positive");
  require(config.hidden % config.pos_groups == 0, where,
          fmt::format("hidden_size {} is no multiple of num_conv_pos_embedding_groups {}", config.hidden,
                      config.pos_groups));
  require(config.relative_buckets == 0 || (config.relative_buckets >= 4 && config.relative_buckets % 2 == 0 &&
                                           config.relative_distance > config.relative_buckets / 4),
          where, "num_buckets should be even and at least 4, max_bucket_distance more than a quarter of it");
  require(config.time_reduction >= 1 && config.time_reduction <= 8, where,
          "time_reduction should be 1 (none) to 8");
  require(config.time_reduction > 1 || !config.time_reduction_fills, where,
          "time_reduction_fills needs a time_reduction");
}

void check_transformer(const ModelConfig& config, const std::string& where) {
  require(config.heads > 0 && config.ffn > 0, where,
          "num_attention_heads and intermediate_size should be positive");
  require(
      config.hidden % config.heads == 0, where,
      fmt::format("hidden_size {} is no multiple of num_attention_heads {}", config.hidden, config.heads));
  require(config.projection || config.hidden == config.conv.back().channels, where,
          "without a feature projection hidden_size is the conv stack's last number of channels");
  require(config.attention_period >= 1, where, "attention_period should be at least 1");
  require(config.attention_period == 1 || (config.relative_buckets == 0 && config.layerdrop == 0), where,
          "where blocks share attention there is no layerdrop and no relative position");
  check_positions(config, where);
}

void check_lstm(const ModelConfig& config, const std::string& where) {
  require(config.lstm_hidden > 0, where, "lstm_hidden_size should be positive");
  const int64_t width = int64_t{config.lstm_hidden} * (config.bidirectional ? 2 : 1);
  require(
      config.hidden == width, where,
      fmt::format("hidden_size {} should be {}, lstm_hidden_size times directions", config.hidden, width));
  require(!config.pre_norm && config.time_reduction == 1 && config.relative_buckets == 0, where,
          "an LSTM has no do_stable_layer_norm, no time_reduction and no relative positions");
}

void check_heads(const ModelConfig& config, const std::string& where) {
  const PredictionHeads& heads = config.prediction;
  require(config.final_dim >= 0 && config.classes >= 0, where,
          "final_dim and classes should not be negative");
  const bool cosine = config.classes > 0 && config.class_head == ClassHead::cosine;
  require((config.final_dim > 0) == cosine, where,
          "final_dim should be positive where a cosine head has classes, else 0");
  if (heads.kind == PredictionHeads::Kind::none) return;
  require(!heads.layers.empty() && heads.dim > 0, where, "prediction heads need layers and a dim");
  require(std::is_sorted(heads.layers.begin(), heads.layers.end(), std::less_equal<>()) &&
              heads.layers.front() > 0,
          where, "the layers of the prediction heads should be positive and ascending");
  if (heads.kind == PredictionHeads::Kind::split)
    require(heads.inner > 0, where, "split prediction heads need a positive inner width");
  else
    require(heads.layers.back() <= config.layers, where, "upsampled prediction heads need a block each");
}

}  // namespace

void check_model_config(const ModelConfig& config, const std::string& where) {
  const bool lstm = config.blocks == BlockKind::lstm;
  require(lstm == (config.type == "hubert-lstm"), where,
          fmt::format("model_type {} has {} LSTM layers", config.type, lstm ? "no" : "only"));
  require(config.hidden > 0, where, "hidden_size should be positive");
  require(config.layers >= 1, where, "num_hidden_layers should be at least 1");
  require(config.norm_eps > 0, where, "layer_norm_eps should be positive");
  for (const double dropout : {config.hidden_dropout, config.attention_dropout, config.activation_dropout,
                               config.projection_dropout, config.layerdrop}) {
    require(dropout >= 0 && dropout < 1, where, "dropouts and layerdrop should be in [0, 1)");
  }
  require(is_wave_norm(config.wave_norm), where,
          fmt::format("wave_norm {} is not known ({})", config.wave_norm, known_wave_norms));
  check_conv(config, where);
  lstm ? check_lstm(config, where) : check_transformer(config, where);
  check_heads(config, where);
}

std::string usual_wave_norm(ConvNorm norm) {
  return norm == ConvNorm::layer ? "zscore" : "none";
}

int ModelConfig::stride() const {
  int product = 1;
  for (const ConvLayerShape& layer : conv) product *= layer.stride;
  return product;
}

int ModelConfig::receptive_field() const {
  int field = 1;
  int step = 1;
  for (const ConvLayerShape& layer : conv) {
    field += (layer.kernel - 1) * step;
    step *= layer.stride;
  }
  return field;
}

int64_t ModelConfig::frames(int64_t samples) const {
  int64_t length = samples;
  for (const ConvLayerShape& layer : conv) {
    if (length < layer.kernel) return 0;
    length = (length - layer.kernel) / layer.stride + 1;
  }
  return length;
}

}  // namespace retort
