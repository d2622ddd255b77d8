#include "model/shape.h"

#include "model/normalise.h"

namespace retort {
namespace {

constexpr std::pair<const char*, PredictionHeads::Kind> head_kinds[] = {
    {"none", PredictionHeads::Kind::none},
    {"split", PredictionHeads::Kind::split},
    {"upsampled", PredictionHeads::Kind::upsampled}};

std::vector<ConvLayerShape> parse_conv(const Json& json, const std::string& where) {
  const auto channels = json_get<std::vector<int>>(json, "conv_channels", where);
  const auto kernels = json_get<std::vector<int>>(json, "conv_kernels", where);
  const auto strides = json_get<std::vector<int>>(json, "conv_strides", where);
  if (channels.empty() || channels.size() != kernels.size() || channels.size() != strides.size())
    fail("{}: conv_channels, conv_kernels and conv_strides should have as many entries ({}, {}, {})", where,
         channels.size(), kernels.size(), strides.size());
  std::vector<ConvLayerShape> conv;
  for (std::size_t i = 0; i < channels.size(); ++i) conv.push_back({channels[i], kernels[i], strides[i]});
  return conv;
}

PredictionHeads parse_heads(const Json& json, const std::string& where) {
  PredictionHeads heads;
  const auto name = json_get<std::string>(json, "prediction_heads", where);
  const auto* kind = std::find_if(std::begin(head_kinds), std::end(head_kinds),
                                  [&](const auto& known) { return name == known.first; });
  if (kind == std::end(head_kinds))
    fail("{}: prediction_heads {} should be none, split or upsampled", where, name);
  heads.kind = kind->second;
  heads.layers = json_get<std::vector<int>>(json, "predicted_layers", where);
  if (heads.layers.empty() != (heads.kind == PredictionHeads::Kind::none))
    fail("{}: prediction_heads {} does not go with {} predicted_layers", where, name, heads.layers.size());
  return heads;
}

const char* head_kind_name(PredictionHeads::Kind kind) {
  for (const auto& [name, known] : head_kinds)
    if (known == kind) return name;
  return "";
}

void require_positive(const std::string& where, std::initializer_list<std::pair<const char*, int>> sizes) {
  for (const auto& [name, value] : sizes)
    if (value < 1) fail("{}: {} {} should be at least 1", where, name, value);
}

void require_dropouts(const std::string& where,
                      std::initializer_list<std::pair<const char*, double>> dropouts) {
  for (const auto& [name, value] : dropouts)
    if (value < 0 || value >= 1) fail("{}: {} {} should be in [0, 1)", where, name, value);
}

void parse_transformer(const Json& json, const std::string& where, ModelConfig& config) {
  config.hidden = json_get<int>(json, "hidden", where);
  config.heads = json_get<int>(json, "heads", where);
  config.ffn = json_get<int>(json, "ffn", where);
  config.pos_kernel = json_get<int>(json, "pos_kernel", where);
  config.pos_groups = json_get<int>(json, "pos_groups", where);
  config.projection = json_get<bool>(json, "projection", where);
  config.time_reduction = json_get<int>(json, "time_reduction", where);
  config.time_reduction_fills = json_get<bool>(json, "time_reduction_fills", where);
  config.attention_period = json_get<int>(json, "attention_period", where);
  config.pre_norm = json_get<bool>(json, "pre_norm", where);
  config.mask_embedding = json_get<bool>(json, "mask_embedding", where);
  config.prediction = parse_heads(json, where);
  config.attention_dropout = json_get<double>(json, "attention_dropout", where);
  config.activation_dropout = json_get<double>(json, "activation_dropout", where);
  config.layerdrop = json_get<double>(json, "layerdrop", where);
  // transformers has no class for these.
  if (config.time_reduction > 1 || config.attention_period > 1 || !config.projection ||
      config.prediction.kind == PredictionHeads::Kind::upsampled)
    config.type.assign("fithubert");
  require_positive(where, {{"hidden", config.hidden},
                           {"heads", config.heads},
                           {"ffn", config.ffn},
                           {"pos_kernel", config.pos_kernel},
                           {"pos_groups", config.pos_groups},
                           {"time_reduction", config.time_reduction},
                           {"attention_period", config.attention_period}});
  if (config.hidden % config.heads != 0)
    fail("{}: hidden {} is no multiple of heads {}", where, config.hidden, config.heads);
  if (config.hidden % config.pos_groups != 0)
    fail("{}: hidden {} is no multiple of pos_groups {}", where, config.hidden, config.pos_groups);
  require_dropouts(where, {{"attention_dropout", config.attention_dropout},
                           {"activation_dropout", config.activation_dropout},
                           {"layerdrop", config.layerdrop}});
}

Json transformer_json(const ModelConfig& config) {
  return {{"hidden", config.hidden},
          {"heads", config.heads},
          {"ffn", config.ffn},
          {"pos_kernel", config.pos_kernel},
          {"pos_groups", config.pos_groups},
          {"projection", config.projection},
          {"time_reduction", config.time_reduction},
          {"time_reduction_fills", config.time_reduction_fills},
          {"attention_period", config.attention_period},
          {"pre_norm", config.pre_norm},
          {"mask_embedding", config.mask_embedding},
          {"prediction_heads", head_kind_name(config.prediction.kind)},
          {"predicted_layers", config.prediction.layers},
          {"attention_dropout", config.attention_dropout},
          {"activation_dropout", config.activation_dropout},
          {"layerdrop", config.layerdrop}};
}

void parse_lstm(const Json& json, const std::string& where, ModelConfig& config) {
  config.type.assign("hubert-lstm");
  config.blocks = BlockKind::lstm;
  config.projection = json_get<bool>(json, "projection", where);
  config.lstm_hidden = json_get<int>(json, "lstm_hidden", where);
  config.bidirectional = json_get<bool>(json, "bidirectional", where);
  config.hidden = config.lstm_hidden * (config.bidirectional ? 2 : 1);
  config.mask_embedding = false;
  config.layerdrop = 0;
  require_positive(where, {{"lstm_hidden", config.lstm_hidden}});
}

Json lstm_json(const ModelConfig& config) {
  return {{"projection", config.projection},
          {"lstm_hidden", config.lstm_hidden},
          {"bidirectional", config.bidirectional}};
}

// One of two words, as a truth.
bool parse_choice(const Json& json, const char* key, const char* yes, const char* no,
                  const std::string& where) {
  const auto word = json_get<std::string>(json, key, where);
  if (word != yes && word != no) fail("{}: {} {} should be {} or {}", where, key, word, yes, no);
  return word == yes;
}

}  // namespace

ModelConfig parse_shape(const Json& json, const std::string& where) {
  ModelConfig config;
  config.conv = parse_conv(json, where);
  config.conv_norm =
      parse_choice(json, "conv_norm", "group", "layer", where) ? ConvNorm::group : ConvNorm::layer;
  config.conv_bias = json_get<bool>(json, "conv_bias", where);
  config.projection_norm = json_get<bool>(json, "projection_norm", where);
  parse_choice(json, "blocks", "lstm", "transformer", where) ? parse_lstm(json, where, config)
                                                             : parse_transformer(json, where, config);
  config.layers = json_get<int>(json, "layers", where);
  config.class_head =
      parse_choice(json, "class_head", "cosine", "linear", where) ? ClassHead::cosine : ClassHead::linear;
  config.final_dim = json_get<int>(json, "final_dim", where);
  config.hidden_dropout = json_get<double>(json, "hidden_dropout", where);
  config.projection_dropout = json_get<double>(json, "projection_dropout", where);
  config.wave_norm = json_get<std::string>(json, "wave_norm", where);
  require_positive(where, {{"layers", config.layers}});
  require_dropouts(
      where, {{"hidden_dropout", config.hidden_dropout}, {"projection_dropout", config.projection_dropout}});
  if (config.final_dim < 0) fail("{}: final_dim {} should not be negative", where, config.final_dim);
  if (!is_wave_norm(config.wave_norm))
    fail("{}: wave_norm {} is none of {}", where, config.wave_norm, known_wave_norms);
  return config;
}

Json shape_json(const ModelConfig& config) {
  Json channels = Json::array(), kernels = Json::array(), strides = Json::array();
  for (const ConvLayerShape& layer : config.conv) {
    channels.push_back(layer.channels);
    kernels.push_back(layer.kernel);
    strides.push_back(layer.stride);
  }
  const bool lstm = config.blocks == BlockKind::lstm;
  Json json = {{"conv_channels", channels},
               {"conv_kernels", kernels},
               {"conv_strides", strides},
               {"conv_norm", config.conv_norm == ConvNorm::group ? "group" : "layer"},
               {"conv_bias", config.conv_bias},
               {"projection_norm", config.projection_norm},
               {"blocks", lstm ? "lstm" : "transformer"},
               {"layers", config.layers}};
  json.update(lstm ? lstm_json(config) : transformer_json(config));
  json.update({{"class_head", config.class_head == ClassHead::cosine ? "cosine" : "linear"},
               {"final_dim", config.final_dim},
               {"hidden_dropout", config.hidden_dropout},
               {"projection_dropout", config.projection_dropout},
               {"wave_norm", config.wave_norm}});
  return json;
}

}  // namespace retort
