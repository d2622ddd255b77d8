// The description of a HuBERT-like model, read from and written as Hugging Face's config.json.
#pragma once

#include <algorithm>
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

// What tells the encoder where a frame stands.
enum class PositionalForm {
  weight_norm,  // one wide grouped convolution, its weight normalised (HuBERT, wav2vec 2.0, WavLM)
  batch_norm,   // the same behind a BatchNorm, without weight norm (conv_pos_batch_norm)
  stacked,      // several narrower ones, each with a LayerNorm without parameters (data2vec)
};

// What the layers behind the conv stack are.
enum class BlockKind {
  transformer,  // behind positions: attention and a feed-forward layer each
  lstm,         // recurrent layers, one way or both (de Oliveira and Gerkmann 2023, arXiv 2309.09920)
};

// What turns hidden states into logits of K classes.
enum class ClassHead {
  cosine,  // HuBERT's: final_proj, then the cosine with each label embedding
  linear,  // a weight vector and a bias per class
};

// Outputs that learned to be a teacher's layers.
struct PredictionHeads {
  enum class Kind {
    none,
    split,      // DistilHuBERT: one linear layer for all heads, GELU, then a linear layer each (SplitLinear)
    upsampled,  // FitHuBERT: head i doubles the frame rate of block i and projects it
  };
  Kind kind = Kind::none;
  std::vector<int> layers;  // the teacher's layers, as head names count them
  int dim = 0;              // the teacher's width
  int inner = 0;            // of split: values per head after the first linear layer

  bool operator==(const PredictionHeads&) const = default;
};

// Field for field what HF calls hubert; defaults are HuBERT Base.
struct ModelConfig {
  // HF's model_type: hubert, wav2vec2, wavlm, data2vec-audio; or Retort's own fithubert (thin students) and
  // hubert-lstm. What is computed follows from the fields below, not from the name.
  std::string type = "hubert";
  std::vector<ConvLayerShape> conv = {{512, 10, 5}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2},
                                      {512, 3, 2},  {512, 2, 2}, {512, 2, 2}};
  ConvNorm conv_norm = ConvNorm::group;
  bool conv_bias = false;
  bool projection_norm = true;  // LayerNorm before the feature projection (feat_proj_layer_norm)
  bool projection = true;       // false: the first block takes the conv stack's channels as they are
  BlockKind blocks = BlockKind::transformer;
  int hidden = 768;           // values per frame that a block gives
  int layers = 12;            // blocks
  int lstm_hidden = 384;      // units per direction of an LSTM; hidden is those of its one or two directions
  bool bidirectional = true;  // false: an LSTM that sees no frame ahead
  int heads = 12;
  int ffn = 3072;
  PositionalForm positional = PositionalForm::weight_norm;
  int pos_kernel = 128;
  int pos_groups = 16;
  int pos_depth = 1;            // convolutions of the stacked form
  int relative_buckets = 0;     // WavLM's gated relative position bias; 0: none
  int relative_distance = 800;  // of the last bucket
  int time_reduction = 1;       // 2: a convolution before the first block halves the frame rate (FitHuBERT)
  // FitHuBERT's fc1: zeros fill the last window of the time reduction, and are one more where it is full.
  bool time_reduction_fills = false;
  // 2: every second block has no query and key, but looks where the block before it does (ARMHuBERT).
  int attention_period = 1;
  bool pre_norm = false;  // do_stable_layer_norm
  double norm_eps = 1e-5;
  double hidden_dropout = 0.1;
  double attention_dropout = 0.1;
  double activation_dropout = 0.1;
  double projection_dropout = 0.0;
  double layerdrop = 0.1;
  bool mask_embedding = true;  // masked_spec_embed exists (mask_time_prob > 0 or mask_feature_prob > 0)
  // Pre-training heads; Retort's own, in retort.json.
  int classes = 0;  // K; 0: the model has no class head
  ClassHead class_head = ClassHead::cosine;
  int final_dim = 0;  // of the cosine head: width of final_proj's output and of the label embeddings
  PredictionHeads prediction;
  std::string wave_norm = "none";  // what the waveform needs before the model (model/normalise.h)

  int stride() const;           // samples per frame of the conv stack
  int receptive_field() const;  // samples one frame sees of the waveform (conv stack)
  // Frames of `samples` samples at 16 kHz; 0 where there are too few.
  int64_t frames(int64_t samples) const;
  // Values per frame that enter the first block.
  int block_input() const { return projection ? hidden : conv.back().channels; }
  // Frames of the encoder's blocks for these frames of the conv stack: fewer behind a time reduction.
  int64_t block_frames(int64_t conv_frames) const {
    return conv_frames / time_reduction + (time_reduction_fills && conv_frames > 0 ? 1 : 0);
  }
  // Frames of upsampled prediction heads.
  int64_t head_frames(int64_t conv_frames) const {
    return std::min(conv_frames, block_frames(conv_frames) * time_reduction);
  }
  // Whether block `index`, from 0, says itself where it looks.
  bool has_attention_map(int index) const { return index % attention_period == 0; }
};

// An Error starting with `where` if no network can have these numbers.
void check_model_config(const ModelConfig& config, const std::string& where);

// fairseq's rule: a stack with LayerNorm was trained on normalised waveforms, one with GroupNorm on raw ones.
std::string usual_wave_norm(ConvNorm norm);

// Parses config.json (+ preprocessor_config.json and retort.json beside it) of a model folder. Unknown keys
// of config.json are ignored, as transformers does; a model_type or activation that is not supported is an
// Error.
ModelConfig read_model_config(const std::filesystem::path& folder);

Json hf_config_json(const ModelConfig& config);     // config.json
Json preprocessor_json(const ModelConfig& config);  // preprocessor_config.json
Json own_config_json(const ModelConfig& config);    // what retort.json says of the config

}  // namespace retort
