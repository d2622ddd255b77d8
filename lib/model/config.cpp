#include "model/config.h"

#include "base/log.h"

namespace retort {
namespace {

void require(bool holds, const std::string& where, std::string_view what) {
  if (!holds) fail("{}: {}", where, what);
}

// What the modules here do not compute; better refused than computed wrongly.
void refuse_unsupported(const Json& json, const std::string& where) {
  const auto type = json_get<std::string>(json, "model_type", where);
  if (type != "hubert" && type != "wav2vec2") {
    fail("{}: model_type {} is not supported (hubert, wav2vec2)", where, type);
  }
  for (const char* key : {"hidden_act", "feat_extract_activation"}) {
    const auto activation = json_get_or<std::string>(json, key, "gelu", where);
    if (activation != "gelu") fail("{}: {} {} is not supported (gelu)", where, key, activation);
  }
  for (const char* key : {"conv_pos_batch_norm", "add_adapter"}) {
    require(!json_get_or(json, key, false, where), where, fmt::format("{} is not supported", key));
  }
  const auto adapter = json.find("adapter_attn_dim");
  require(adapter == json.end() || adapter->is_null(), where, "adapter_attn_dim is not supported");
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
  if (channels.empty() || channels.size() != kernels.size() || channels.size() != strides.size()) {
    fail(
        "{}: conv_dim, conv_kernel and conv_stride have {}, {} and {} entries, they should have the same "
        "number",
        where, channels.size(), kernels.size(), strides.size());
  }
  std::vector<ConvLayerShape> conv;
  for (size_t i = 0; i < channels.size(); ++i) {
    require(channels[i] > 0 && kernels[i] > 0 && strides[i] > 0, where,
            "the conv layers' numbers should be positive");
    conv.push_back({channels[i], kernels[i], strides[i]});
  }
  return conv;
}

ConvNorm read_conv_norm(const Json& json, const std::string& where) {
  const auto norm = json_get_or<std::string>(json, "feat_extract_norm", "group", where);
  if (norm != "group" && norm != "layer")
    fail("{}: feat_extract_norm {} is not known (group, layer)", where, norm);
  return norm == "group" ? ConvNorm::group : ConvNorm::layer;
}

void check_shape(const ModelConfig& config, const std::string& where) {
  require(config.hidden > 0 && config.heads > 0 && config.ffn > 0, where,
          "hidden_size, num_attention_heads and intermediate_size should be positive");
  require(config.layers >= 1, where, "num_hidden_layers should be at least 1");
  require(
      config.hidden % config.heads == 0, where,
      fmt::format("hidden_size {} is no multiple of num_attention_heads {}", config.hidden, config.heads));
  require(config.pos_kernel > 0 && config.pos_groups > 0 && config.hidden % config.pos_groups == 0, where,
          fmt::format("hidden_size {} is no multiple of num_conv_pos_embedding_groups {}", config.hidden,
                      config.pos_groups));
  require(config.norm_eps > 0, where, "layer_norm_eps should be positive");
  for (const double dropout : {config.hidden_dropout, config.attention_dropout, config.activation_dropout,
                               config.projection_dropout, config.layerdrop}) {
    require(dropout >= 0 && dropout < 1, where, "dropouts and layerdrop should be in [0, 1)");
  }
}

// fairseq's rule: a stack with LayerNorm was trained on normalised waveforms, one with GroupNorm on raw ones.
std::string usual_wave_norm(ConvNorm norm) {
  return norm == ConvNorm::layer ? "zscore" : "none";
}

std::string read_wave_norm(const std::filesystem::path& folder, ConvNorm norm) {
  const std::filesystem::path file = folder / "preprocessor_config.json";
  const std::string usual = usual_wave_norm(norm);
  if (!std::filesystem::exists(file)) return usual;
  const bool normalise = json_get_or(read_json(file), "do_normalize", usual == "zscore", file.string());
  const std::string stated = normalise ? "zscore" : "none";
  if (stated != usual) {
    log_warning(
        "model",
        "{}: do_normalize is {}, though models with {} norm in the conv stack are usually trained {} it; "
        "it is obeyed",
        file.string(), normalise, norm == ConvNorm::layer ? "layer" : "group",
        normalise ? "without" : "with");
  }
  return stated;
}

// retort.json, where there is one, says what the other two files have no word for, and decides on the
// waveform.
void read_own_file(const std::filesystem::path& folder, ModelConfig& config) {
  const std::filesystem::path file = folder / "retort.json";
  if (!std::filesystem::exists(file)) {
    config.wave_norm = read_wave_norm(folder, config.conv_norm);
    return;
  }
  const std::string where = file.string();
  const Json json = read_json(file);
  config.final_dim = json_get_or(json, "final_dim", 0, where);
  config.classes = json_get_or(json, "classes", 0, where);
  require(config.final_dim >= 0 && config.classes >= 0 && (config.final_dim > 0) == (config.classes > 0),
          where, "final_dim and classes should both be positive, or both be 0");
  config.wave_norm = json_get<std::string>(json, "wave_norm", where);
  require(config.wave_norm == "none" || config.wave_norm == "zscore", where,
          fmt::format("wave_norm {} is not known (none, zscore)", config.wave_norm));
}

}  // namespace

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

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  if (!std::filesystem::exists(file))
    fail("{}: no config.json in it, so it is no model folder", folder.string());
  const std::string where = file.string();
  const Json json = read_json(file);
  if (!json.is_object()) fail("{}: it should hold one JSON object", where);
  refuse_unsupported(json, where);

  ModelConfig config;
  config.conv = read_conv(json, config, where);
  config.conv_norm = read_conv_norm(json, where);
  config.conv_bias = json_get_or(json, "conv_bias", config.conv_bias, where);
  config.projection_norm = json_get_or(json, "feat_proj_layer_norm", config.projection_norm, where);
  config.hidden = json_get_or(json, "hidden_size", config.hidden, where);
  config.layers = json_get_or(json, "num_hidden_layers", config.layers, where);
  config.heads = json_get_or(json, "num_attention_heads", config.heads, where);
  config.ffn = json_get_or(json, "intermediate_size", config.ffn, where);
  config.pos_kernel = json_get_or(json, "num_conv_pos_embeddings", config.pos_kernel, where);
  config.pos_groups = json_get_or(json, "num_conv_pos_embedding_groups", config.pos_groups, where);
  config.pre_norm = json_get_or(json, "do_stable_layer_norm", config.pre_norm, where);
  config.norm_eps = json_get_or(json, "layer_norm_eps", config.norm_eps, where);
  config.hidden_dropout = json_get_or(json, "hidden_dropout", config.hidden_dropout, where);
  config.attention_dropout = json_get_or(json, "attention_dropout", config.attention_dropout, where);
  config.activation_dropout = json_get_or(json, "activation_dropout", config.activation_dropout, where);
  config.projection_dropout = json_get_or(json, "feat_proj_dropout", config.projection_dropout, where);
  config.layerdrop = json_get_or(json, "layerdrop", config.layerdrop, where);
  config.mask_embedding = json_get_or(json, "mask_time_prob", 0.05, where) > 0 ||
                          json_get_or(json, "mask_feature_prob", 0.0, where) > 0;
  check_shape(config, where);
  read_own_file(folder, config);
  return config;
}

Json hf_config_json(const ModelConfig& config) {
  Json channels = Json::array(), kernels = Json::array(), strides = Json::array();
  for (const ConvLayerShape& layer : config.conv) {
    channels.push_back(layer.channels);
    kernels.push_back(layer.kernel);
    strides.push_back(layer.stride);
  }
  return {{"architectures", {"HubertModel"}},
          {"model_type", "hubert"},
          {"torch_dtype", "float32"},
          {"hidden_size", config.hidden},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"intermediate_size", config.ffn},
          {"hidden_act", "gelu"},
          {"do_stable_layer_norm", config.pre_norm},
          {"layer_norm_eps", config.norm_eps},
          {"conv_dim", channels},
          {"conv_kernel", kernels},
          {"conv_stride", strides},
          {"conv_bias", config.conv_bias},
          {"feat_extract_norm", config.conv_norm == ConvNorm::group ? "group" : "layer"},
          {"feat_extract_activation", "gelu"},
          {"feat_proj_layer_norm", config.projection_norm},
          {"feat_proj_dropout", config.projection_dropout},
          {"num_conv_pos_embeddings", config.pos_kernel},
          {"num_conv_pos_embedding_groups", config.pos_groups},
          {"conv_pos_batch_norm", false},
          {"hidden_dropout", config.hidden_dropout},
          {"attention_dropout", config.attention_dropout},
          {"activation_dropout", config.activation_dropout},
          {"layerdrop", config.layerdrop},
          {"apply_spec_augment", config.mask_embedding},
          {"mask_time_prob", config.mask_embedding ? 0.05 : 0.0},
          {"mask_feature_prob", 0.0}};
}

Json preprocessor_json(const ModelConfig& config) {
  return {{"feature_extractor_type", "Wav2Vec2FeatureExtractor"},
          {"feature_size", 1},
          {"sampling_rate", 16000},
          {"padding_value", 0.0},
          {"padding_side", "right"},
          {"do_normalize", config.wave_norm == "zscore"},
          {"return_attention_mask", config.conv_norm == ConvNorm::layer}};
}

}  // namespace retort
