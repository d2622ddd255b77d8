// The description of a HuBERT-like model, read from and written as Hugging Face's config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace retort {

struct ConvLayerShape {
  int channels = 512;
  int kernel = 3;
  int stride = 2;
};

enum class ConvNorm { group, layer };  // GroupNorm in block 0 only, or LayerNorm in every block

// Field for field what HF calls hubert; defaults are HuBERT Base.
struct ModelConfig {
  std::vector<ConvLayerShape> conv = {{512, 10, 5}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2},
                                      {512, 3, 2},  {512, 2, 2}, {512, 2, 2}};
  ConvNorm conv_norm = ConvNorm::group;
  bool conv_bias = false;
  bool projection_norm = true;  // LayerNorm before the feature projection (feat_proj_layer_norm)
  int hidden = 768;
  int layers = 12;
  int heads = 12;
  int ffn = 3072;
  int pos_kernel = 128;
  int pos_groups = 16;
  bool pre_norm = false;  // do_stable_layer_norm
  double norm_eps = 1e-5;
  double hidden_dropout = 0.1;
  double attention_dropout = 0.1;
  double activation_dropout = 0.1;
  double projection_dropout = 0.0;
  double layerdrop = 0.1;
  bool mask_embedding = true;  // masked_spec_embed exists (mask_time_prob > 0 or mask_feature_prob > 0)
  // Pre-training heads; Retort's own, in retort.json. 0: the model has none.
  int final_dim = 0;               // width of final_proj's output and of the label embeddings
  int classes = 0;                 // K
  std::string wave_norm = "none";  // "none" or "zscore": what the waveform needs before the model

  int stride() const;           // samples per frame
  int receptive_field() const;  // samples one frame sees of the waveform (conv stack)
  // Frames of `samples` samples at 16 kHz; 0 where there are too few.
  int64_t frames(int64_t samples) const;
};

// Parses config.json (+ preprocessor_config.json and retort.json beside it) of a model folder. Unknown keys
// of config.json are ignored, as transformers does; a model_type or activation that is not supported is an
// Error.
ModelConfig read_model_config(const std::filesystem::path& folder);

Json hf_config_json(const ModelConfig& config);     // config.json
Json preprocessor_json(const ModelConfig& config);  // preprocessor_config.json

}  // namespace retort
