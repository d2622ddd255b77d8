#include "model/s3prl_writer.h"

#include <numeric>

#include "base/error.h"
#include "model/checkpoint_formats.h"
#include "model/fairseq_writer.h"
#include "model/folded_weights.h"

namespace retort {
namespace {

using Kind = PredictionHeads::Kind;

constexpr double distiller_norm_eps = 1e-5;

// DistilHuBERT takes the conv stack's output as it is; every other class has a norm there.
bool is_distiller(const ModelConfig& config) {
  return config.type == "hubert" && !config.projection_norm;
}

void check_distiller(const ModelConfig& config, const std::string& where) {
  const auto require = [&where](bool fits, const std::string& why) {
    if (!fits) fail("{}: s3prl's distiller {}", where, why);
  };
  require(!config.conv_bias, "has no biases in its conv stack, this model has");
  require(config.positional == PositionalForm::weight_norm,
          "has no batch norm before its positional convolution, this model has");
  require(config.norm_eps == distiller_norm_eps,
          fmt::format("has layer norms with an eps of {}, this model's have {}", distiller_norm_eps,
                      config.norm_eps));
  require(
      config.wave_norm == "none",
      fmt::format("takes waveforms as they are, this model wants them normalised ({})", config.wave_norm));
  require(config.hidden != config.conv.back().channels,
          fmt::format("has no projection where encoder and conv stack are both {} wide, this model has",
                      config.hidden));
  require(config.prediction.kind != Kind::upsampled, "has no heads that double the frame rate");
}

// What DistillerConfig reads. Without heads it predicts its own layers, which takes no weights: s3prl wants
// predictions of every distiller.
Json distiller_section(const ModelConfig& config, Json model) {
  model["extractor_conv_feature_layers"] = std::move(model["conv_feature_layers"]);
  for (const char* fairseqs : {"conv_feature_layers", "conv_bias", "_name", "label_rate", "untie_final_proj"})
    model.erase(fairseqs);
  const PredictionHeads& heads = config.prediction;
  const bool has_heads = heads.kind == Kind::split;
  std::vector<int> layers = heads.layers;
  if (!has_heads) {
    layers.resize(static_cast<std::size_t>(config.layers) + 1);
    std::iota(layers.begin(), layers.end(), 0);
  }
  model["attention_type"] = "original";
  model["task_emb_type"] = has_heads ? "expand-last" : "self-hidden";
  model["out_layer_type"] = has_heads ? "expand-last" : "self-hidden";
  model["n_tasks"] = layers.size();
  model["pred_layer_id"] = layers;
  model["final_dim"] = has_heads ? heads.dim : config.hidden;
  model["out_layer_inter_dim"] = has_heads ? heads.inner : -1;
  return model;
}

// Heads under the names of the distiller's output layer; `only_head` keeps the values that are not the
// model's own. SplitLinear of several heads has (N, in, out) and (1, 1, N, out), of one it is a plain layer.
void add_distiller_heads(const ModelWeights& model, std::vector<TensorToWrite>& tensors,
                         std::vector<float>& only_head) {
  const auto add = [&](const std::string& name, std::vector<int64_t> shape,
                       const std::vector<float>& values) {
    tensors.push_back(
        {"output_layer." + name, "F32", std::move(shape), values.data(), values.size() * sizeof(float)});
  };
  for (const char* part : {"weight", "bias"}) {
    const NamedTensor& inner = model.tensors.at(fmt::format("heads.inner.{}", part));
    add(fmt::format("0.{}", part), inner.shape, inner.values);
  }
  const NamedTensor& weight = model.tensors.at("heads.split.weight");
  const NamedTensor& bias = model.tensors.at("heads.split.bias");
  if (weight.shape.at(0) == 1) {
    only_head = transposed(weight.values.data(), weight.shape[1], weight.shape[2]);  // nn.Linear: (out, in)
    add("2.layer.weight", {weight.shape[2], weight.shape[1]}, only_head);
    add("2.layer.bias", {bias.shape.at(1)}, bias.values);
  } else {
    add("2.weight", weight.shape, weight.values);
    add("2.bias", {1, 1, bias.shape.at(0), bias.shape.at(1)}, bias.values);
  }
}

void write_distiller(const std::filesystem::path& path, const ModelWeights& model) {
  FairseqParts parts = fairseq_parts(model);
  std::vector<float> only_head;
  if (model.config.prediction.kind == Kind::split) add_distiller_heads(model, parts.tensors, only_head);
  const Json config = {{"distiller", distiller_section(model.config, std::move(parts.model))}};
  write_torch_file(path, {{"Config", config}}, "Distiller", parts.tensors);
}

void write_converted(const std::filesystem::path& path, const ModelWeights& model) {
  FairseqParts parts = fairseq_parts(model);
  add_idle_heads(model.config, parts);
  // s3prl takes the averaged teacher out of a data2vec, and fails where there is nothing to take.
  if (model.config.type == "data2vec-audio") parts.tensors.push_back({"_ema", "F32", {0}, nullptr, 0});
  Json members = {{"task_cfg", std::move(parts.task)}, {"model_cfg", std::move(parts.model)}};
  if (model.config.type == "hubert") members["dictionaries_symbols"] = Json::array();
  write_torch_file(path, members, "model_weight", parts.tensors);
}

}  // namespace

void check_s3prl_can_hold(const ModelWeights& model, const std::string& where) {
  if (is_distiller(model.config)) return check_distiller(model.config, where);
  check_fairseq_can_hold(model, where, "s3prl");
  if (model.config.positional == PositionalForm::batch_norm)
    fail(
        "{}: s3prl has no model with a batch norm before its positional convolution; export to hf or fairseq",
        where);
}

ModelWeights as_s3prl_holds(ModelWeights model) {
  if (!is_distiller(model.config)) return as_fairseq_holds(std::move(model));
  model.config.mask_embedding = false;
  model.config.classes = 0;
  model.config.final_dim = 0;
  keep_listed_tensors(model);
  return model;
}

std::string s3prl_format(const ModelConfig& config) {
  if (is_distiller(config)) return "s3prl-distiller";
  return config.type == "wavlm" ? "fairseq" : "s3prl";
}

void write_s3prl_checkpoint(const std::filesystem::path& path, const ModelWeights& model) {
  const std::string format = s3prl_format(model.config);
  if (format == "s3prl-distiller")
    write_distiller(path, model);
  else if (format == "fairseq")
    write_fairseq_checkpoint(path, model);
  else
    write_converted(path, model);
}

}  // namespace retort
