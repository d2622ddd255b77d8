// Checkpoints of fairseq and of those that kept its names: s3prl's upstreams, Microsoft's WavLM.
#include <algorithm>

#include "base/log.h"
#include "model/checkpoint_formats.h"
#include "model/tensor_names.h"

namespace retort {
namespace {

constexpr int special_symbols = 4;  // <s>, <pad>, </s>, <unk>: the first entries of fairseq's dictionaries

// conv_layers.3.0.weight is the convolution; .2.weight a GroupNorm, .2.1.weight a LayerNorm between two
// transpositions.
void rename_conv_layer(std::string& name) {
  const std::size_t index_end = name.find('.', std::string_view("feature_extractor.conv_layers.").size());
  if (index_end == std::string::npos) return;
  std::string rest = name.substr(index_end);
  if (replace_begin(rest, ".0.", ".conv.") || replace_begin(rest, ".2.1.", ".layer_norm.") ||
      replace_begin(rest, ".2.", ".layer_norm."))
    name.replace(index_end, std::string::npos, rest);
}

// Parts of a block, fairseq's and ours; the first that is in a name is the one to replace.
constexpr std::pair<std::string_view, std::string_view> block_parts[] = {
    {".self_attn_layer_norm.", ".layer_norm."},
    {".self_attn.grep_linear.", ".attention.gru_rel_pos_linear."},
    {".self_attn.grep_a", ".attention.gru_rel_pos_const"},
    {".self_attn.relative_attention_bias.", ".attention.rel_attn_embed."},
    {".self_attn.", ".attention."},
    {".fc1.", ".feed_forward.intermediate_dense."},
    {".fc2.", ".feed_forward.output_dense."}};

void rename_block(std::string& name) {
  for (const auto& [fairseq, ours] : block_parts)
    if (replace_first(name, fairseq, ours)) return;
}

PositionalForm positional_form(const Renaming& tensors) {
  if (tensors.has("encoder.pos_conv.0.0.weight")) return PositionalForm::stacked;
  return tensors.has("encoder.pos_conv.0.running_mean") ? PositionalForm::batch_norm
                                                        : PositionalForm::weight_norm;
}

void rename_positions(std::string& name, PositionalForm form) {
  static constexpr std::string_view prefix = "encoder.pos_conv.";
  const std::string conv = "encoder.pos_conv_embed.conv.";
  switch (form) {
    case PositionalForm::weight_norm:
      replace_begin(name, "encoder.pos_conv.0.", conv);
      use_old_weight_norm_names(name);
      return;
    case PositionalForm::batch_norm:
      if (!replace_begin(name, "encoder.pos_conv.0.", "encoder.pos_conv_embed.batch_norm."))
        replace_begin(name, "encoder.pos_conv.1.", conv);
      return;
    case PositionalForm::stacked: {
      std::string rest = name.substr(std::min(prefix.size(), name.size()));
      if (name.starts_with(prefix) && replace_first(rest, ".0.", ".conv."))
        name = fmt::format("encoder.pos_conv_embed.layers.{}", rest);
      return;
    }
  }
}

// (classes + 4, dim) with the rows of fairseq's special symbols, which no frame ever has, to (classes, dim).
int drop_special_rows(Renaming& tensors, const std::string& where) {
  const std::vector<int64_t> shape = tensors.tensors().at("label_embeddings").shape;
  if (shape.size() != 2 || shape[0] <= special_symbols)
    fail("{}: label_embs_concat has no rows beyond the {} special symbols", where, special_symbols);
  const int64_t classes = shape[0] - special_symbols;
  const int64_t dim = shape[1];
  tensors.change("label_embeddings", {classes, dim}, [dim](std::vector<float> rows) {
    rows.erase(rows.begin(), rows.begin() + special_symbols * dim);
    return rows;
  });
  return static_cast<int>(classes);
}

// The label head where there is one for one set of labels; other heads are dropped. wav2vec 2.0 and data2vec
// call a projection of theirs final_proj, too.
Json settle_heads(Renaming& tensors, ModelConfig& config, const std::string& where) {
  Json details = Json::object();
  for (const char* other :
       {"quantizer.", "project_q.", "input_quantizer.", "project_inp.", "target_glu.", "regression_head."})
    tensors.drop_all(other);
  const auto embeddings = tensors.tensors().find("label_embeddings");
  const auto projection = tensors.tensors().find("final_proj.weight");
  const bool one_set = embeddings != tensors.tensors().end() && projection != tensors.tensors().end() &&
                       embeddings->second.shape.size() == 2 && projection->second.shape.size() == 2 &&
                       embeddings->second.shape[1] == projection->second.shape[0] &&
                       embeddings->second.shape[0] > 0;
  if (!one_set) {
    tensors.drop_all("final_proj.");
    tensors.drop("label_embeddings");
    return details;
  }
  config.final_dim = static_cast<int>(embeddings->second.shape[1]);
  config.classes = drop_special_rows(tensors, where);
  details["special_label_rows_dropped"] = special_symbols;
  return details;
}

// Where the embedding is as wide as the conv stack fairseq has no projection; transformers always has one.
void add_identity_projection(Renaming& tensors, int width) {
  const auto size = static_cast<std::size_t>(width);
  tensors.add("feature_projection.projection.weight", {"F32", {width, width}, [size] {
                                                         std::vector<float> identity(size * size);
                                                         for (std::size_t i = 0; i < size; ++i)
                                                           identity[i * size + i] = 1;
                                                         return identity;
                                                       }});
  tensors.add("feature_projection.projection.bias",
              {"F32", {width}, [size] { return std::vector<float>(size); }});
}

std::string type_of(const Renaming& tensors, const ModelConfig& config, const std::string& name) {
  if (config.relative_buckets > 0) return "wavlm";
  if (config.positional == PositionalForm::stacked) return "data2vec-audio";
  const bool hubert = tensors.has("label_embeddings") || name.find("hubert") != std::string::npos ||
                      config.positional == PositionalForm::batch_norm;
  return hubert ? "hubert" : "wav2vec2";
}

bool is_normalised(const Json& task, ConvNorm norm, const std::string& where) {
  const bool usual = usual_wave_norm(norm) == "zscore";
  if (!task.is_object() || !task.contains("normalize")) {
    log_warning("model", "{}: it does not say whether waveforms are normalised; taken as {}, as is usual",
                where, usual);
    return usual;
  }
  return json_get<bool>(task, "normalize", where);
}

// `model`: the config of the encoder; `task`: what says how audio is prepared; `name`: what the checkpoint
// calls the architecture.
ModelSource open_network(Renaming tensors, const Json& model, const Json& task, const std::string& name,
                         const std::string& format, const std::string& where) {
  ModelConfig config = config_from_fairseq(model, where);
  config.positional = positional_form(tensors);
  if (config.positional == PositionalForm::stacked) {
    config.pos_depth = json_get_or(model, "pos_conv_depth", 1, where);
    config.pos_kernel = std::max(3, config.pos_kernel / config.pos_depth);  // as fairseq divides it
  }
  const PositionalForm form = config.positional;
  tensors.rename_all([form](std::string tensor) {
    if (tensor.starts_with("encoder.pos_conv.")) {
      rename_positions(tensor, form);
      return tensor;
    }
    return canonical_from_fairseq(tensor);
  });
  for (const char* idle : {"encoder.pos_conv_embed.batch_norm.num_batches_tracked", "encoder.version"})
    tensors.drop(idle);
  Json details = settle_heads(tensors, config, where);
  config.type = type_of(tensors, config, name);
  config.mask_embedding = tensors.has("masked_spec_embed");
  config.wave_norm = is_normalised(task, config.conv_norm, where) ? "zscore" : "none";
  if (config.hidden == config.conv.back().channels && !tensors.has("feature_projection.projection.weight"))
    add_identity_projection(tensors, config.hidden);
  return tensors.assemble(std::move(config), format, std::move(details));
}

// A member that is an object; null where there is none.
Json object_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_object() ? *found : Json();
}

// fairseq's two generations: cfg with a section per part, and args with everything in one. WavLM's cfg is of
// the second form.
struct Sections {
  Json model;
  Json task;
};

Sections sections_of(const Json& config) {
  const Json model = object_in(config, "model");
  return model.is_object() ? Sections{model, object_in(config, "task")} : Sections{config, config};
}

}  // namespace

std::string canonical_from_fairseq(const std::string& fairseq) {
  std::string name = fairseq;
  if (name == "mask_emb") return "masked_spec_embed";
  if (name == "label_embs_concat") return "label_embeddings";
  if (name.starts_with("feature_extractor.conv_layers.")) {
    rename_conv_layer(name);
  } else if (name.starts_with("encoder.pos_conv.")) {
    rename_positions(name, PositionalForm::weight_norm);
  } else if (name.starts_with("encoder.layers.")) {
    rename_block(name);
  } else if (!replace_begin(name, "layer_norm.", "feature_projection.layer_norm.")) {
    replace_begin(name, "post_extract_proj.", "feature_projection.projection.");
  }
  return name;
}

std::string fairseq_from_canonical(const std::string& canonical, const ModelConfig& config) {
  std::string name = canonical;
  if (name == "masked_spec_embed") return "mask_emb";
  const bool by_layer = config.conv_norm == ConvNorm::layer;
  if (name.starts_with("feature_extractor.")) {
    if (!replace_first(name, ".conv.", ".0."))
      replace_first(name, ".layer_norm.", by_layer ? ".2.1." : ".2.");
  } else if (name.starts_with("encoder.pos_conv_embed.")) {
    const bool batch_norm = config.positional == PositionalForm::batch_norm;
    replace_begin(name, "encoder.pos_conv_embed.", "encoder.pos_conv.");
    if (replace_first(name, ".pos_conv.layers.", ".pos_conv."))
      replace_first(name, ".conv.", ".0.");
    else if (!replace_first(name, ".pos_conv.batch_norm.", ".pos_conv.0."))
      replace_first(name, ".pos_conv.conv.", batch_norm ? ".pos_conv.1." : ".pos_conv.0.");
  } else if (name.starts_with("encoder.layers.")) {
    // ".final_layer_norm." holds no part: its name is the same in both.
    for (const auto& [fairseq, ours] : block_parts)
      if (replace_first(name, ours, fairseq)) break;
  } else if (!replace_begin(name, "feature_projection.layer_norm.", "layer_norm.")) {
    replace_begin(name, "feature_projection.projection.", "post_extract_proj.");
  }
  return name;
}

ModelConfig config_from_fairseq(const Json& model, const std::string& where) {
  ModelConfig config;
  const auto number = [&](const char* key, int otherwise) {
    return json_get_or(model, key, otherwise, where);
  };
  const auto share = [&](const char* key, double otherwise) {
    return json_get_or(model, key, otherwise, where);
  };
  const auto activation = json_get_or<std::string>(model, "activation_fn", "gelu", where);
  if (activation != "gelu") fail("{}: activation_fn {} is not supported (gelu)", where, activation);
  const auto mode = json_get_or<std::string>(model, "extractor_mode", "default", where);
  if (mode != "default" && mode != "layer_norm")
    fail("{}: extractor_mode {} is not known (default, layer_norm)", where, mode);
  config.conv_norm = mode == "default" ? ConvNorm::group : ConvNorm::layer;
  for (const char* key : {"conv_feature_layers", "extractor_conv_feature_layers"}) {
    const auto text = json_get_or<std::string>(model, key, "", where);
    if (!text.empty()) config.conv = parse_conv_layers(text, where);
  }
  config.conv_bias = json_get_or(model, "conv_bias", false, where);
  config.layers = number("encoder_layers", config.layers);
  config.hidden = number("encoder_embed_dim", config.hidden);
  config.ffn = number("encoder_ffn_embed_dim", config.ffn);
  config.heads = number("encoder_attention_heads", config.heads);
  config.pos_kernel = number("conv_pos", config.pos_kernel);
  config.pos_groups = number("conv_pos_groups", config.pos_groups);
  config.pre_norm = json_get_or(model, "layer_norm_first", false, where);
  config.hidden_dropout = share("dropout", config.hidden_dropout);
  config.attention_dropout = share("attention_dropout", config.attention_dropout);
  config.activation_dropout = share("activation_dropout", 0);
  config.projection_dropout = share("dropout_input", 0);
  config.layerdrop = share("encoder_layerdrop", 0);
  if (json_get_or(model, "relative_position_embedding", false, where)) {
    if (!json_get_or(model, "gru_rel_pos", false, where))
      fail("{}: relative positions without a gate (gru_rel_pos) are not supported", where);
    config.relative_buckets = number("num_buckets", 320);
    config.relative_distance = number("max_distance", 800);
  }
  return config;
}

ModelSource open_fairseq(const Checkpoint& checkpoint) {
  const PickleValue* cfg = checkpoint.root().find("cfg");
  const Json config =
      plain_json(cfg != nullptr && !cfg->is_none() ? *cfg : checkpoint.member("args"), checkpoint.where);
  Sections sections = sections_of(config);
  Renaming tensors(checkpoint, checkpoint.member("model"));
  // A fine-tuned model wraps the encoder and keeps the config that it was pre-trained with.
  const auto fine_tuned = "w2v_encoder.w2v_model.";
  const std::string name = json_get_or<std::string>(sections.model, "_name", "", checkpoint.where) +
                           json_get_or<std::string>(sections.model, "arch", "", checkpoint.where);
  if (tensors.has_any(fine_tuned)) {
    tensors.keep_below(fine_tuned);
    const Json before = object_in(sections.model, "w2v_args");
    if (!before.is_object())
      fail("{}: a fine-tuned checkpoint without the config of its encoder (w2v_args)", checkpoint.where);
    const Json task = sections.task;
    sections = sections_of(before);
    if (task.is_object() && task.contains("normalize")) sections.task = task;
  }
  return open_network(std::move(tensors), sections.model, sections.task, name, "fairseq", checkpoint.where);
}

ModelSource open_s3prl_upstream(const Checkpoint& checkpoint) {
  const std::string& where = checkpoint.where;
  const Json model = plain_json(checkpoint.member("model_cfg"), where);
  return open_network(Renaming(checkpoint, checkpoint.member("model_weight")), model,
                      plain_json(checkpoint.member("task_cfg"), where),
                      json_get_or<std::string>(model, "_name", "", where), "s3prl", where);
}

}  // namespace retort
