#include "model/fairseq_writer.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "audio/resample.h"
#include "model/checkpoint_formats.h"
#include "model/tensors.h"

namespace retort {
namespace {

constexpr double fairseq_norm_eps = 1e-5;
constexpr int unused_final_dim = 256;  // of the heads for no labels

double frame_rate(const ModelConfig& config) {
  return static_cast<double>(model_rate) / config.stride();
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
    model["label_rate"] = frame_rate(config);
    model["final_dim"] = unused_final_dim;
    model["untie_final_proj"] = true;
  } else if (config.type == "wavlm") {
    model["relative_position_embedding"] = true;
    model["gru_rel_pos"] = true;
    model["num_buckets"] = config.relative_buckets;
    model["max_distance"] = config.relative_distance;
  } else {
    model["_name"] = config.type == "wav2vec2" ? "wav2vec2" : "data2vec_audio";
    if (config.type == "wav2vec2") model["final_dim"] = 1;
  }
  return model;
}

Json task_section(const ModelConfig& config) {
  Json task = {{"data", ""}, {"sample_rate", model_rate}, {"normalize", config.wave_norm != "none"}};
  task["_name"] = config.type == "hubert" ? "hubert_pretraining" : "audio_pretraining";
  if (config.type == "hubert") {
    task["labels"] = Json::array();
    task["label_rate"] = frame_rate(config);
  }
  return task;
}

TensorToWrite as_written(const std::string& name, const NamedTensor& tensor) {
  return {name, "F32", tensor.shape, tensor.values.data(), tensor.values.size() * sizeof(float)};
}

// fairseq's classes have no projection where the encoder is as wide as the conv stack; data2vec's always has.
bool leaves_projection_out(const ModelConfig& config) {
  return config.type != "data2vec-audio" && config.hidden == config.conv.back().channels;
}

bool is_identity(const NamedTensor& weight) {
  const auto width = static_cast<std::size_t>(weight.shape.at(0));
  for (std::size_t i = 0; i < weight.values.size(); ++i)
    if (weight.values[i] != (i / width == i % width ? 1.0f : 0.0f)) return false;
  return true;
}

bool has_idle_projection(const ModelWeights& model) {
  const std::string name = "feature_projection.projection.";
  const std::vector<float>& bias = model.tensors.at(name + "bias").values;
  return is_identity(model.tensors.at(name + "weight")) &&
         std::all_of(bias.begin(), bias.end(), [](float value) { return value == 0; });
}

bool is_written(const TensorSpec& spec, const ModelConfig& config) {
  return spec.role != TensorRole::head &&
         !(leaves_projection_out(config) && spec.name.starts_with("feature_projection.projection."));
}

void add_hubert_heads(const ModelConfig& config, FairseqParts& parts) {
  parts.tensors.push_back({"final_proj.weight", "F32", {0, config.hidden}, nullptr, 0});
  parts.tensors.push_back({"final_proj.bias", "F32", {0}, nullptr, 0});
  parts.tensors.push_back({"label_embs_concat", "F32", {0, unused_final_dim}, nullptr, 0});
}

void add_wav2vec2_heads(const ModelConfig& config, FairseqParts& parts) {
  const int64_t targets = config.conv.back().channels;
  parts.zeros.resize(static_cast<std::size_t>(std::max<int64_t>(targets, config.hidden)));
  const auto add = [&parts](const char* name, std::vector<int64_t> shape) {
    const auto count = static_cast<std::size_t>(shape.back());
    parts.tensors.push_back({name, "F32", std::move(shape), parts.zeros.data(), count * sizeof(float)});
  };
  add("project_q.weight", {1, targets});
  add("project_q.bias", {1});
  add("final_proj.weight", {1, config.hidden});
  add("final_proj.bias", {1});
}

}  // namespace

// One term per run of equal layers.
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

void check_fairseq_can_hold(const ModelWeights& model, const std::string& where, const std::string& toolkit) {
  const ModelConfig& config = model.config;
  if (config.type == "fithubert" || config.time_reduction > 1)
    fail("{}: {} has no model with a time reduction", where, toolkit);
  if (config.blocks == BlockKind::lstm) fail("{}: {} has no HuBERT of LSTM layers", where, toolkit);
  if (!config.projection_norm)
    fail("{}: {}'s models always have a norm before the projection, this one has none; export to hf or s3prl",
         where, toolkit);
  if (config.norm_eps != fairseq_norm_eps)
    fail("{}: {}'s layer norms have an eps of {}, this model's have {}; export to hf", where, toolkit,
         fairseq_norm_eps, config.norm_eps);
  if (leaves_projection_out(config) && !has_idle_projection(model))
    fail(
        "{}: {}'s models have no projection where encoder and conv stack are both {} wide, this one has; "
        "export to hf",
        where, toolkit, config.hidden);
}

ModelWeights as_fairseq_holds(ModelWeights model) {
  model.config.final_dim = 0;
  model.config.classes = 0;
  model.config.prediction = {};
  keep_listed_tensors(model);
  if (!model.config.mask_embedding)
    model.tensors["masked_spec_embed"] = {{model.config.hidden},
                                          std::vector<float>(static_cast<std::size_t>(model.config.hidden))};
  model.config.mask_embedding = true;
  return model;
}

FairseqParts fairseq_parts(const ModelWeights& model) {
  FairseqParts parts{model_section(model.config), task_section(model.config), {}, {}};
  for (const TensorSpec& spec : model_tensors(model.config))
    if (is_written(spec, model.config))
      parts.tensors.push_back(
          as_written(fairseq_from_canonical(spec.name, model.config), model.tensors.at(spec.name)));
  return parts;
}

void add_idle_heads(const ModelConfig& config, FairseqParts& parts) {
  if (config.type == "hubert") add_hubert_heads(config, parts);
  if (config.type == "wav2vec2") add_wav2vec2_heads(config, parts);
}

void write_fairseq_checkpoint(const std::filesystem::path& path, const ModelWeights& model) {
  FairseqParts parts = fairseq_parts(model);
  add_idle_heads(model.config, parts);
  Json cfg = {{"model", parts.model}, {"task", parts.task}};
  if (model.config.type == "wavlm") {
    cfg = parts.model;
    cfg["normalize"] = parts.task.at("normalize");
  }
  write_torch_file(path, {{"cfg", std::move(cfg)}}, "model", parts.tensors);
}

}  // namespace retort
