#include "model/fairseq_writer.h"

#include <fmt/ranges.h>

#include "model/checkpoint_formats.h"
#include "model/tensors.h"

namespace retort {
namespace {

constexpr double fairseq_norm_eps = 1e-5;
constexpr int unused_final_dim = 256;  // of the heads for no labels

// "[(512,10,5)] + [(512,3,2)] * 4": one term per run of equal layers.
std::string conv_layers_text(const std::vector<ConvLayerShape>& layers) {
  std::vector<std::string> terms;
  for (std::size_t i = 0; i < layers.size();) {
    const ConvLayerShape& layer = layers[i];
    std::size_t end = i;
    while (end < layers.size() && layers[end].channels == layer.channels &&
           layers[end].kernel == layer.kernel && layers[end].stride == layer.stride)
      ++end;
    std::string term = fmt::format("[({}, {}, {})]", layer.channels, layer.kernel, layer.stride);
    if (end - i > 1) term += fmt::format(" * {}", end - i);
    terms.push_back(std::move(term));
    i = end;
  }
  return fmt::format("{}", fmt::join(terms, " + "));
}

Json model_section(const ModelConfig& config) {
  Json model = {{"extractor_mode", config.conv_norm == ConvNorm::group ? "default" : "layer_norm"},
                {"conv_feature_layers", conv_layers_text(config.conv)},
                {"conv_bias", config.conv_bias},
                {"encoder_layers", config.layers},
                {"encoder_embed_dim", config.hidden},
                {"encoder_ffn_embed_dim", config.ffn},
                {"encoder_attention_heads", config.heads},
                {"activation_fn", "gelu"},
                {"layer_norm_first", config.pre_norm},
                {"conv_pos", config.pos_kernel * config.pos_depth},  // divided by the depth when it is built
                {"conv_pos_groups", config.pos_groups},
                {"dropout", config.hidden_dropout},
                {"attention_dropout", config.attention_dropout},
                {"activation_dropout", config.activation_dropout},
                {"dropout_input", config.projection_dropout},
                {"encoder_layerdrop", config.layerdrop}};
  if (config.positional == PositionalForm::stacked) model["pos_conv_depth"] = config.pos_depth;
  if (config.positional == PositionalForm::batch_norm) model["conv_pos_batch_norm"] = true;
  if (config.type == "hubert") {
    model["_name"] = "hubert";
    model["final_dim"] = unused_final_dim;
    model["untie_final_proj"] = true;
  } else if (config.type == "wavlm") {
    model["relative_position_embedding"] = true;
    model["gru_rel_pos"] = true;
    model["num_buckets"] = config.relative_buckets;
    model["max_distance"] = config.relative_distance;
  } else {
    model["_name"] = config.type == "wav2vec2" ? "wav2vec2" : "data2vec_audio";
  }
  return model;
}

Json task_section(const ModelConfig& config) {
  Json task = {{"data", ""}, {"sample_rate", 16000}, {"normalize", config.wave_norm != "none"}};
  task["_name"] = config.type == "hubert" ? "hubert_pretraining" : "audio_pretraining";
  if (config.type == "hubert") {
    task["labels"] = Json::array();
    task["label_rate"] = static_cast<double>(16000) / config.stride();
  }
  return task;
}

Json cfg_of(const ModelConfig& config) {
  Json model = model_section(config);
  if (config.type != "wavlm") return {{"model", std::move(model)}, {"task", task_section(config)}};
  model["normalize"] = config.wave_norm != "none";
  return model;
}

TensorToWrite as_written(const std::string& name, const NamedTensor& tensor) {
  return {name, "F32", tensor.shape, tensor.values.data(), tensor.values.size() * sizeof(float)};
}

bool is_encoders(const TensorSpec& spec) {
  return spec.role != TensorRole::head;
}

}  // namespace

void check_fairseq_can_hold(const ModelConfig& config, const std::string& where) {
  if (config.type == "fithubert" || config.time_reduction > 1)
    fail("{}: fairseq has no model with a time reduction", where);
  if (config.blocks == BlockKind::lstm) fail("{}: fairseq has no HuBERT of LSTM layers", where);
  if (!config.projection_norm)
    fail("{}: fairseq's models always have a norm before the projection, this one has none; export to hf",
         where);
  if (config.norm_eps != fairseq_norm_eps)
    fail("{}: fairseq's layer norms have an eps of {}, this model's have {}; export to hf", where,
         fairseq_norm_eps, config.norm_eps);
}

void write_fairseq_checkpoint(const std::filesystem::path& path, const ModelWeights& model) {
  check_fairseq_can_hold(model.config, path.string());
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : model_tensors(model.config)) {
    if (!is_encoders(spec)) continue;
    tensors.push_back(
        as_written(fairseq_from_canonical(spec.name, model.config), model.tensors.at(spec.name)));
  }
  if (model.config.type == "hubert") {
    const int64_t width = model.config.hidden;
    tensors.push_back({"final_proj.weight", "F32", {0, width}, nullptr, 0});
    tensors.push_back({"final_proj.bias", "F32", {0}, nullptr, 0});
    tensors.push_back({"label_embs_concat", "F32", {0, unused_final_dim}, nullptr, 0});
  }
  write_torch_file(path, {{"cfg", cfg_of(model.config)}}, "model", tensors);
}

}  // namespace retort
