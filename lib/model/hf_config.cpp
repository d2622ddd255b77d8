// The three JSON files of a model folder, to and from a ModelConfig.
#include <fmt/ranges.h>

#include "audio/waveform.h"
#include "base/log.h"
#include "model/config.h"

namespace retort {
namespace {

constexpr std::string_view known_types[] = {"hubert",         "wav2vec2",  "wavlm",
                                            "data2vec-audio", "fithubert", "hubert-lstm"};

bool has_projection_norm_key(const std::string& type) {
  return type == "hubert" || type == "fithubert" || type == "hubert-lstm";
}

// What the modules here do not compute; better refused than computed wrongly.
void refuse_unsupported(const Json& json, const std::string& where) {
  const auto type = json_get<std::string>(json, "model_type", where);
  if (std::find(std::begin(known_types), std::end(known_types), type) == std::end(known_types))
    fail("{}: model_type {} is not supported ({})", where, type, fmt::join(known_types, ", "));
  for (const char* key : {"hidden_act", "feat_extract_activation"}) {
    const auto activation = json_get_or<std::string>(json, key, "gelu", where);
    if (activation != "gelu") fail("{}: {} {} is not supported (gelu)", where, key, activation);
  }
  if (json_get_or(json, "add_adapter", false, where)) fail("{}: add_adapter is not supported", where);
  const auto adapter = json.find("adapter_attn_dim");
  if (adapter != json.end() && !adapter->is_null()) fail("{}: adapter_attn_dim is not supported", where);
}

std::vector<ConvLayerShape> read_conv(const Json& json, const ModelConfig& defaults,
                                      const std::string& where) {
  std::vector<int> channels, kernels, strides;
  for (const ConvLayerShape& layer : defaults.conv) {
    channels.push_back(layer.channels);
    kernels.push_back(layer.kernel);
    strides.push_back(layer.stride);
  }
  channels = json_get_or(json, "conv_dim", channels, where);
  kernels = json_get_or(json, "conv_kernel", kernels, where);
  strides = json_get_or(json, "conv_stride", strides, where);
  if (channels.size() != kernels.size() || channels.size() != strides.size()) {
    fail(
        "{}: conv_dim, conv_kernel and conv_stride have {}, {} and {} entries, they should have the same "
        "number",
        where, channels.size(), kernels.size(), strides.size());
  }
  std::vector<ConvLayerShape> conv;
  for (size_t i = 0; i < channels.size(); ++i) conv.push_back({channels[i], kernels[i], strides[i]});
  return conv;
}

// data2vec-audio has no such key: its conv stack always has LayerNorm.
ConvNorm read_conv_norm(const Json& json, const std::string& type, const std::string& where) {
  if (type == "data2vec-audio") return ConvNorm::layer;
  const auto norm = json_get_or<std::string>(json, "feat_extract_norm", "group", where);
  if (norm != "group" && norm != "layer")
    fail("{}: feat_extract_norm {} is not known (group, layer)", where, norm);
  return norm == "group" ? ConvNorm::group : ConvNorm::layer;
}

// Keys that only some types have; transformers ignores them in the others, and so must we.
void read_what_types_differ_in(const Json& json, const std::string& where, ModelConfig& config) {
  const bool data2vec = config.type == "data2vec-audio";
  if (config.type == "hubert" && json_get_or(json, "conv_pos_batch_norm", false, where))
    config.positional = PositionalForm::batch_norm;
  if (config.type == "wavlm") {
    config.relative_buckets = json_get_or(json, "num_buckets", 320, where);
    config.relative_distance = json_get_or(json, "max_bucket_distance", 800, where);
  }
  if (config.type == "fithubert") {
    config.time_reduction = json_get_or(json, "time_reduction", config.time_reduction, where);
    config.time_reduction_fills =
        json_get_or(json, "time_reduction_fills", config.time_reduction_fills, where);
    config.attention_period = json_get_or(json, "attention_period", config.attention_period, where);
    config.projection = json_get_or(json, "feat_proj_linear", config.projection, where);
  }
  if (data2vec) {
    config.positional = PositionalForm::stacked;
    config.pos_depth = json_get_or(json, "num_conv_pos_embeddings", 5, where);
    config.pos_kernel = json_get_or(json, "conv_pos_kernel_size", 19, where);
  } else {
    config.pos_kernel = json_get_or(json, "num_conv_pos_embeddings", config.pos_kernel, where);
    config.pre_norm = json_get_or(json, "do_stable_layer_norm", config.pre_norm, where);
  }
}

void read_transformer(const Json& json, const std::string& where, ModelConfig& config) {
  config.heads = json_get_or(json, "num_attention_heads", config.heads, where);
  config.ffn = json_get_or(json, "intermediate_size", config.ffn, where);
  config.pos_groups = json_get_or(json, "num_conv_pos_embedding_groups", config.pos_groups, where);
  read_what_types_differ_in(json, where, config);
  config.attention_dropout = json_get_or(json, "attention_dropout", config.attention_dropout, where);
  config.activation_dropout = json_get_or(json, "activation_dropout", config.activation_dropout, where);
  config.layerdrop = json_get_or(json, "layerdrop", config.layerdrop, where);
}

void read_lstm(const Json& json, const std::string& where, ModelConfig& config) {
  config.blocks = BlockKind::lstm;
  config.lstm_hidden = json_get_or(json, "lstm_hidden_size", config.lstm_hidden, where);
  config.bidirectional = json_get_or(json, "bidirectional", config.bidirectional, where);
  config.projection = json_get_or(json, "feat_proj_linear", config.projection, where);
}

ModelConfig parse_hf_config(const Json& json, const std::string& where) {
  if (!json.is_object()) fail("{}: it should hold one JSON object", where);
  refuse_unsupported(json, where);
  ModelConfig config;
  config.type = json_get<std::string>(json, "model_type", where);
  config.conv = read_conv(json, config, where);
  config.conv_norm = read_conv_norm(json, config.type, where);
  config.conv_bias = json_get_or(json, "conv_bias", config.conv_bias, where);
  config.hidden = json_get_or(json, "hidden_size", config.hidden, where);
  config.layers = json_get_or(json, "num_hidden_layers", config.layers, where);
  config.norm_eps = json_get_or(json, "layer_norm_eps", config.norm_eps, where);
  config.hidden_dropout = json_get_or(json, "hidden_dropout", config.hidden_dropout, where);
  config.projection_dropout = json_get_or(json, "feat_proj_dropout", config.projection_dropout, where);
  if (has_projection_norm_key(config.type))
    config.projection_norm = json_get_or(json, "feat_proj_layer_norm", config.projection_norm, where);
  config.type == "hubert-lstm" ? read_lstm(json, where, config) : read_transformer(json, where, config);
  config.mask_embedding = json_get_or(json, "mask_time_prob", 0.05, where) > 0 ||
                          json_get_or(json, "mask_feature_prob", 0.0, where) > 0;
  return config;
}

std::string read_wave_norm(const std::filesystem::path& folder, ConvNorm norm) {
  const std::filesystem::path file = folder / "preprocessor_config.json";
  const std::string usual = usual_wave_norm(norm);
  if (!std::filesystem::exists(file)) return usual;
  const Json preprocessor = read_json(file);
  const int rate = json_get_or(preprocessor, "sampling_rate", model_rate, file.string());
  if (rate != model_rate)
    fail("{}: the model is of audio at {} Hz; only models of {} Hz are understood", file.string(), rate,
         model_rate);
  const bool normalise = json_get_or(preprocessor, "do_normalize", usual == "zscore", file.string());
  if (normalise != (usual == "zscore")) {
    log_warning(
        "model",
        "{}: do_normalize is {}, though models with {} norm in the conv stack are usually trained {} it; "
        "it is obeyed",
        file.string(), normalise, norm == ConvNorm::layer ? "layer" : "group",
        normalise ? "without" : "with");
  }
  return normalise ? "zscore-hf" : "none";
}

const char* kind_name(PredictionHeads::Kind kind) {
  return kind == PredictionHeads::Kind::split ? "split" : "upsampled";
}

PredictionHeads read_prediction_heads(const Json& json, const std::string& where) {
  PredictionHeads heads;
  const auto found = json.find("prediction_heads");
  if (found == json.end() || found->is_null()) return heads;
  refuse_unknown_keys(*found, {"kind", "layers", "dim", "inner"}, where);
  const auto kind = json_get<std::string>(*found, "kind", where);
  if (kind != "split" && kind != "upsampled")
    fail("{}: prediction_heads of kind {} are not known (split, upsampled)", where, kind);
  heads.kind = kind == "split" ? PredictionHeads::Kind::split : PredictionHeads::Kind::upsampled;
  heads.layers = json_get<std::vector<int>>(*found, "layers", where);
  heads.dim = json_get<int>(*found, "dim", where);
  heads.inner = json_get_or(*found, "inner", 0, where);
  return heads;
}

ClassHead read_class_head(const Json& json, const std::string& where) {
  const auto head = json_get_or<std::string>(json, "class_head", "cosine", where);
  if (head != "cosine" && head != "linear")
    fail("{}: class_head {} is not known (cosine, linear)", where, head);
  return head == "cosine" ? ClassHead::cosine : ClassHead::linear;
}

// retort.json, where there is one, says what the other two files have no word for, and decides on the
// waveform. An export has none: what it kept of heads is in config.json.
void read_own_file(const std::filesystem::path& folder, ModelConfig& config) {
  const std::filesystem::path file = folder / "retort.json";
  if (!std::filesystem::exists(file)) {
    const std::filesystem::path other = folder / "config.json";
    config.prediction = read_prediction_heads(read_json(other), other.string());
    config.wave_norm = read_wave_norm(folder, config.conv_norm);
    return;
  }
  const std::string where = file.string();
  const Json json = read_json(file);
  config.final_dim = json_get_or(json, "final_dim", 0, where);
  config.classes = json_get_or(json, "classes", 0, where);
  config.class_head = read_class_head(json, where);
  config.prediction = read_prediction_heads(json, where);
  config.wave_norm = json_get<std::string>(json, "wave_norm", where);
}

// The name of transformers' class.
std::string architecture(const std::string& type) {
  if (type == "wav2vec2") return "Wav2Vec2Model";
  if (type == "wavlm") return "WavLMModel";
  if (type == "data2vec-audio") return "Data2VecAudioModel";
  if (type == "hubert-lstm") return "HubertLstmModel";
  return type == "fithubert" ? "FitHubertModel" : "HubertModel";
}

void add_what_types_differ_in(const ModelConfig& config, Json& json) {
  if (config.type == "data2vec-audio") {
    json["num_conv_pos_embeddings"] = config.pos_depth;
    json["conv_pos_kernel_size"] = config.pos_kernel;
    return;
  }
  json["num_conv_pos_embeddings"] = config.pos_kernel;
  json["do_stable_layer_norm"] = config.pre_norm;
  if (config.type == "hubert") json["conv_pos_batch_norm"] = config.positional == PositionalForm::batch_norm;
  if (config.type == "wavlm") {
    json["num_buckets"] = config.relative_buckets;
    json["max_bucket_distance"] = config.relative_distance;
  }
  if (config.type == "fithubert") {
    json["time_reduction"] = config.time_reduction;
    json["time_reduction_fills"] = config.time_reduction_fills;
    json["attention_period"] = config.attention_period;
    json["feat_proj_linear"] = config.projection;
  }
}

void add_transformer(const ModelConfig& config, Json& json) {
  json["num_attention_heads"] = config.heads;
  json["intermediate_size"] = config.ffn;
  json["hidden_act"] = "gelu";
  json["num_conv_pos_embedding_groups"] = config.pos_groups;
  json["attention_dropout"] = config.attention_dropout;
  json["activation_dropout"] = config.activation_dropout;
  json["layerdrop"] = config.layerdrop;
  add_what_types_differ_in(config, json);
}

void add_lstm(const ModelConfig& config, Json& json) {
  json["lstm_hidden_size"] = config.lstm_hidden;
  json["bidirectional"] = config.bidirectional;
  json["feat_proj_linear"] = config.projection;
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  if (!std::filesystem::exists(file))
    fail("{}: no config.json in it, so it is no model folder", folder.string());
  ModelConfig config = parse_hf_config(read_json(file), file.string());
  check_model_config(config, file.string());
  read_own_file(folder, config);
  check_model_config(config, (folder / "retort.json").string());
  return config;
}

Json hf_config_json(const ModelConfig& config) {
  Json channels = Json::array(), kernels = Json::array(), strides = Json::array();
  for (const ConvLayerShape& layer : config.conv) {
    channels.push_back(layer.channels);
    kernels.push_back(layer.kernel);
    strides.push_back(layer.stride);
  }
  Json json = {{"architectures", {architecture(config.type)}},
               {"model_type", config.type},
               {"torch_dtype", "float32"},
               {"hidden_size", config.hidden},
               {"num_hidden_layers", config.layers},
               {"layer_norm_eps", config.norm_eps},
               {"conv_dim", channels},
               {"conv_kernel", kernels},
               {"conv_stride", strides},
               {"conv_bias", config.conv_bias},
               {"feat_extract_activation", "gelu"},
               {"feat_proj_dropout", config.projection_dropout},
               {"hidden_dropout", config.hidden_dropout},
               {"apply_spec_augment", config.mask_embedding},
               {"mask_time_prob", config.mask_embedding ? 0.05 : 0.0},
               {"mask_feature_prob", 0.0}};
  if (config.type != "data2vec-audio")
    json["feat_extract_norm"] = config.conv_norm == ConvNorm::group ? "group" : "layer";
  if (has_projection_norm_key(config.type)) json["feat_proj_layer_norm"] = config.projection_norm;
  config.blocks == BlockKind::lstm ? add_lstm(config, json) : add_transformer(config, json);
  return json;
}

Json preprocessor_json(const ModelConfig& config) {
  return {{"feature_extractor_type", "Wav2Vec2FeatureExtractor"},
          {"feature_size", 1},
          {"sampling_rate", model_rate},
          {"padding_value", 0.0},
          {"padding_side", "right"},
          {"do_normalize", config.wave_norm != "none"},
          {"return_attention_mask", config.conv_norm == ConvNorm::layer}};
}

Json own_config_json(const ModelConfig& config) {
  Json json = {{"wave_norm", config.wave_norm}, {"final_dim", config.final_dim}, {"classes", config.classes}};
  if (config.classes > 0) json["class_head"] = config.class_head == ClassHead::cosine ? "cosine" : "linear";
  const PredictionHeads& heads = config.prediction;
  if (heads.kind != PredictionHeads::Kind::none) {
    json["prediction_heads"] = {
        {"kind", kind_name(heads.kind)}, {"layers", heads.layers}, {"dim", heads.dim}};
    if (heads.inner > 0) json["prediction_heads"]["inner"] = heads.inner;
  }
  return json;
}

}  // namespace retort
