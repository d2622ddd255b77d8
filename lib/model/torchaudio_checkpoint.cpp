// State dicts of torchaudio's Wav2Vec2Model and HuBERTPretrainModel.
#include "model/checkpoint_formats.h"
#include "model/tensor_names.h"

namespace retort {
namespace {

std::string rename_torchaudio(const std::string& torchaudio) {
  static constexpr std::pair<std::string_view, std::string_view> begins[] = {
      {"wav2vec2.", ""},
      {"encoder.feature_projection.", "feature_projection."},
      {"encoder.transformer.", "encoder."},
      {"mask_generator.mask_embedding", "masked_spec_embed"},
      {"logit_generator.label_embeddings", "label_embeddings"},
      {"logit_generator.final_proj.", "final_proj."}};
  std::string name = torchaudio;
  for (const auto& [from, to] : begins) replace_begin(name, from, to);
  use_old_weight_norm_names(name);
  return name;
}

std::vector<ConvLayerShape> conv_layers(const Json& factory, const ModelConfig& defaults,
                                        const std::string& where) {
  const auto lists =
      json_get_or<std::vector<std::vector<int>>>(factory, "extractor_conv_layer_config", {}, where);
  if (lists.empty()) return defaults.conv;
  std::vector<ConvLayerShape> layers;
  for (const std::vector<int>& list : lists) {
    if (list.size() != 3)
      fail("{}: extractor_conv_layer_config should be a list of [channels, kernel, stride]", where);
    layers.push_back({list[0], list[1], list[2]});
  }
  return layers;
}

// The arguments of torchaudio.models.wav2vec2_model and hubert_pretrain_model.
ModelConfig config_from_factory(const Json& factory, const std::string& where) {
  ModelConfig config;
  const auto mode = json_get_or<std::string>(factory, "extractor_mode", "group_norm", where);
  if (mode != "group_norm" && mode != "layer_norm")
    fail("{}: extractor_mode {} is not known (group_norm, layer_norm)", where, mode);
  config.conv_norm = mode == "group_norm" ? ConvNorm::group : ConvNorm::layer;
  config.conv = conv_layers(factory, config, where);
  config.conv_bias = json_get_or(factory, "extractor_conv_bias", false, where);
  config.hidden = json_get_or(factory, "encoder_embed_dim", config.hidden, where);
  config.pos_kernel = json_get_or(factory, "encoder_pos_conv_kernel", config.pos_kernel, where);
  config.pos_groups = json_get_or(factory, "encoder_pos_conv_groups", config.pos_groups, where);
  config.layers = json_get_or(factory, "encoder_num_layers", config.layers, where);
  config.heads = json_get_or(factory, "encoder_num_heads", config.heads, where);
  config.ffn = json_get_or(factory, "encoder_ff_interm_features", config.ffn, where);
  config.pre_norm = json_get_or(factory, "encoder_layer_norm_first", false, where);
  config.projection_dropout = json_get_or(factory, "encoder_projection_dropout", 0.1, where);
  config.attention_dropout = json_get_or(factory, "encoder_attention_dropout", 0.1, where);
  config.activation_dropout = json_get_or(factory, "encoder_ff_interm_dropout", 0.0, where);
  config.hidden_dropout = json_get_or(factory, "encoder_dropout", 0.1, where);
  config.layerdrop = json_get_or(factory, "encoder_layer_drop", 0.05, where);
  // Not an argument of the model but of the bundle that publishes it (bundle._normalize_waveform).
  const bool normalise =
      json_get_or(factory, "normalize_waveform", usual_wave_norm(config.conv_norm) == "zscore", where);
  config.wave_norm = normalise ? "zscore" : "none";
  return config;
}

}  // namespace

ModelSource open_torchaudio(const Checkpoint& checkpoint) {
  Renaming tensors(checkpoint, checkpoint.root());
  if (!tensors.has_any("encoder.transformer.") && !tensors.has_any("wav2vec2.encoder.transformer."))
    fail("{}: its tensors are of no model known here (fairseq, s3prl, FitHuBERT, torchaudio, WavLM)",
         checkpoint.where);
  if (!checkpoint.config.is_object())
    fail(
        "{}: torchaudio's files hold tensors alone; retort-import takes a JSON of the arguments of its "
        "factory "
        "function (wav2vec2_model, hubert_pretrain_model) as --config",
        checkpoint.where);
  ModelConfig config = config_from_factory(checkpoint.config, checkpoint.where);
  tensors.drop_all("aux.");
  tensors.drop_all("wav2vec2.aux.");
  const bool hubert = tensors.has_any("logit_generator.");
  tensors.rename_all(rename_torchaudio);
  config.type = hubert ? "hubert" : "wav2vec2";
  config.mask_embedding = tensors.has("masked_spec_embed");
  if (hubert) {
    const auto embeddings = tensors.tensors().find("label_embeddings");
    if (embeddings == tensors.tensors().end() || embeddings->second.shape.size() != 2)
      fail("{}: its label embeddings are not of two dimensions", checkpoint.where);
    config.classes = static_cast<int>(embeddings->second.shape[0]);
    config.final_dim = static_cast<int>(embeddings->second.shape[1]);
  }
  return tensors.assemble(std::move(config), "torchaudio");
}

}  // namespace retort
