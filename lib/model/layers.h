// Layer names: conv, proj, enc0 .. encN, final, headN, and the spellings of other tools.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace retort {

struct Layer {
  enum class Kind { conv, proj, enc, final, head };
  Kind kind = Kind::final;
  int index = 0;  // of enc; of head: the teacher's layer

  bool operator==(const Layer&) const = default;
  std::string name() const;  // canonical
};

// Reads a name for this model: canonical, or "fairseq:9", "hf:9", "s3prl:9" (enc9) and "torchaudio:8" (enc9,
// counted from 0). hf:N of a pre-norm model is final, as transformers normalises its last state; s3prl:0 of a
// DistilHuBERT is proj. Refuses layers the model does not have and negative indices.
Layer parse_layer(const std::string& text, const ModelConfig& config);

// "enc6,enc9", or "all".
std::vector<Layer> parse_layers(const std::string& text, const ModelConfig& config);

// All that the model has, in order of computation.
std::vector<Layer> all_layers(const ModelConfig& config);

// Blocks that have to run for the deepest of these layers.
int blocks_for(const std::vector<Layer>& layers, const ModelConfig& config);

// Values per frame of a layer.
int layer_dim(const Layer& layer, const ModelConfig& config);
// Samples from one of its frames to the next.
int layer_hop(const Layer& layer, const ModelConfig& config);
// The fewest samples of which each of these layers has a frame.
int64_t least_samples(const std::vector<Layer>& layers, const ModelConfig& config);
// Its frames for a waveform of `samples` samples.
int64_t layer_frames(const Layer& layer, const ModelConfig& config, int64_t samples);

}  // namespace retort
