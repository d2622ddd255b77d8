// Checkpoints of students: s3prl's DistilHuBERT and FitHuBERT.
#include <algorithm>

#include "base/log.h"
#include "model/checkpoint_formats.h"
#include "model/folded_weights.h"
#include "model/tensor_names.h"

namespace retort {
namespace {

// "[4, 8, 12]" or a list.
std::vector<int> layer_list(const Json& config, const char* key, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end()) fail("{}: its config has no {}", where, key);
  return found->is_string() ? parse_json(found->get<std::string>(), where).get<std::vector<int>>()
                            : json_get<std::vector<int>>(config, key, where);
}

std::string rename_distiller_head(const std::string& name) {
  if (name == "output_layer.0.weight") return "heads.inner.weight";
  if (name == "output_layer.0.bias") return "heads.inner.bias";
  if (name == "output_layer.2.weight" || name == "output_layer.2.layer.weight") return "heads.split.weight";
  if (name == "output_layer.2.bias" || name == "output_layer.2.layer.bias") return "heads.split.bias";
  return canonical_from_fairseq(name);
}

// Heads as SplitLinear has them: weight (N, in, out) and bias (1, 1, N, out), or one plain linear layer.
void reshape_split_heads(Renaming& tensors, const PredictionHeads& heads) {
  const auto count = static_cast<int64_t>(heads.layers.size());
  const auto same = [](std::vector<float> values) { return values; };
  if (!tensors.has("heads.split.weight") || !tensors.has("heads.split.bias")) return;  // named by assemble()
  const std::vector<int64_t> weight = tensors.tensors().at("heads.split.weight").shape;
  const std::vector<int64_t> bias = tensors.tensors().at("heads.split.bias").shape;
  if (weight.size() == 2 && count == 1) {
    const int64_t rows = weight[0], columns = weight[1];
    // (out, in) of one head's linear layer to (1, in, out), the form of several.
    tensors.change("heads.split.weight", {1, columns, rows}, [rows, columns](const std::vector<float>& v) {
      return transposed(v.data(), rows, columns);
    });
    if (bias.size() == 1) tensors.change("heads.split.bias", {1, bias[0]}, same);
  } else if (bias.size() == 4 && bias[0] == 1 && bias[1] == 1) {
    tensors.change("heads.split.bias", {bias[2], bias[3]}, same);
  }
}

PredictionHeads distiller_heads(const Json& config, int width, const std::string& where) {
  for (const char* key : {"task_emb_type", "out_layer_type"}) {
    const auto type = json_get_or<std::string>(config, key, "expand-last", where);
    if (type != "expand-last") fail("{}: {} {} is not supported (expand-last)", where, key, type);
  }
  PredictionHeads heads;
  heads.kind = PredictionHeads::Kind::split;
  heads.layers = layer_list(config, "pred_layer_id", where);
  heads.dim = json_get_or(config, "final_dim", 768, where);
  const int inner = json_get_or(config, "out_layer_inter_dim", -1, where);
  heads.inner = inner > 0 ? inner : width;
  return heads;
}

// encoder.layers.0 is the time reduction, block i is encoder.layers.(i + 1).
std::string rename_fithubert(const std::string& name, bool time_reduction) {
  static constexpr std::string_view blocks = "encoder.layers.";
  if (const auto block = numbered_below(name, blocks); block && time_reduction) {
    if (block->number == 0) return "encoder.time_reduction" + block->rest;
    return canonical_from_fairseq(fmt::format("{}{}{}", blocks, block->number - 1, block->rest));
  }
  if (const auto head = numbered_below(name, "proj_head.")) {
    std::string part = head->rest;
    replace_begin(part, ".lin_proj.", ".projection.");
    return fmt::format("heads.{}{}", head->number + 1, part);
  }
  return canonical_from_fairseq(name);
}

// What FitHuBERT's code can be told to do and its published models do not.
void refuse_other_fithuberts(const Json& config, const std::string& where) {
  if (json_get_or(config, "n_mels", 0, where) > 0)
    fail("{}: a student on mel spectrograms (n_mels) is not supported", where);
  const auto layer_type = json_get_or<std::string>(config, "layer_type", "transformer", where);
  if (layer_type != "transformer")
    fail("{}: layer_type {} is not supported (transformer)", where, layer_type);
  if (json_get_or(config, "pos_conv_depth", 1, where) != 1)
    fail("{}: pos_conv_depth other than 1 is not supported", where);
  if (!json_get_or(config, "enable_tr_layer", true, where)) return;
  const auto reduction = json_get_or<std::string>(config, "tr_layer_type", "fc1", where);
  if (reduction != "conv1d" && reduction != "fc1")
    fail("{}: tr_layer_type {} is not supported (conv1d, fc1)", where, reduction);
  const int index = json_get_or(config, "tr_layer_index", 1, where);
  if (index != 0) fail("{}: a time reduction at layer {} is not supported (0)", where, index);
}

// fc1 is a linear layer over the frames of a window, one after the other: the convolution with its weights
// sorted by tap.
void take_linear_reduction(Renaming& tensors, ModelConfig& config) {
  config.time_reduction_fills = true;
  const std::string name = "encoder.time_reduction.weight";
  if (!tensors.has(name)) return;  // named by assemble()
  const std::vector<int64_t> shape = tensors.tensors().at(name).shape;
  const int64_t width = config.hidden, taps = config.time_reduction;
  if (shape != std::vector<int64_t>{width, taps * width}) return;
  tensors.change(name, {width, width, taps}, [width, taps](const std::vector<float>& values) {
    std::vector<float> sorted;
    sorted.reserve(values.size());
    for (int64_t row = 0; row < width; ++row) {
      const std::vector<float> by_channel = transposed(values.data() + row * taps * width, taps, width);
      sorted.insert(sorted.end(), by_channel.begin(), by_channel.end());
    }
    return sorted;
  });
}

PredictionHeads upsampled_heads(const Renaming& tensors, const ModelConfig& config, const Json& distiller,
                                const std::string& where) {
  PredictionHeads heads;
  for (int layer = 1; layer <= config.layers; ++layer)
    if (tensors.has_any(fmt::format("heads.{}.", layer))) heads.layers.push_back(layer);
  if (heads.layers.empty()) return heads;
  heads.kind = PredictionHeads::Kind::upsampled;
  heads.dim = json_get_or(distiller, "pred_head_final_dim", 768, where);
  return heads;
}

}  // namespace

ModelSource open_s3prl_distiller(const Checkpoint& checkpoint) {
  const std::string& where = checkpoint.where;
  const Json whole = plain_json(checkpoint.member("Config"), where);
  const Json distiller = json_get<Json>(whole, "distiller", where);
  ModelConfig config = config_from_fairseq(distiller, where);
  config.projection_norm = false;
  config.mask_embedding = false;
  config.wave_norm = "none";
  Renaming tensors(checkpoint, checkpoint.member("Distiller"));
  tensors.rename_all(rename_distiller_head);
  if (tensors.has_any("heads.")) {
    config.prediction = distiller_heads(distiller, config.hidden, where);
    reshape_split_heads(tensors, config.prediction);
  }
  return tensors.assemble(std::move(config), "s3prl-distiller");
}

ModelSource open_fithubert(const Checkpoint& checkpoint) {
  const std::string& where = checkpoint.where;
  if (!checkpoint.config.is_object())
    fail(
        "{}: a checkpoint of PyTorch Lightning does not say what its model is; retort-import takes its yaml "
        "as --config",
        where);
  const Json distiller = json_get<Json>(checkpoint.config, "distiller", where);
  refuse_other_fithuberts(distiller, where);
  Renaming tensors(checkpoint, checkpoint.member("state_dict"));
  if (!tensors.has_any("student_model."))
    fail("{}: no tensor of it belongs to a student_model, so it is not FitHuBERT's", where);
  tensors.keep_below("student_model.");
  tensors.drop_all("upsampler.");  // is in the file, but nothing uses it beside the heads' own
  tensors.drop_all("cnn_proj_head.");

  ModelConfig config = config_from_fairseq(distiller, where);
  config.type = "fithubert";
  config.mask_embedding = false;
  config.wave_norm = "none";
  if (json_get_or(distiller, "enable_tr_layer", true, where))
    config.time_reduction = json_get_or(distiller, "tr_reduce_factor", 2, where);
  if (!json_get_or(distiller, "layerwise_proj", false, where)) tensors.drop_all("proj_head.");
  const bool reduces = config.time_reduction > 1;
  tensors.rename_all([reduces](const std::string& name) { return rename_fithubert(name, reduces); });
  if (reduces && json_get_or<std::string>(distiller, "tr_layer_type", "fc1", where) == "fc1")
    take_linear_reduction(tensors, config);
  config.prediction = upsampled_heads(tensors, config, distiller, where);
  return tensors.assemble(std::move(config), "fithubert");
}

}  // namespace retort
