// Layer names: conv, proj, enc0 .. encN, final, and the spellings of other tools.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"

namespace retort {

struct Layer {
  enum class Kind { conv, proj, enc, final };
  Kind kind = Kind::final;
  int index = 0;  // of enc

  bool operator==(const Layer&) const = default;
  std::string name() const;  // canonical
};

// Reads a name for this model: canonical, or "fairseq:9", "hf:9", "s3prl:9" (enc9) and "torchaudio:8" (enc9,
// counted from 0). hf:N of a pre-norm model is final, as transformers normalises its last state. Refuses
// layers the model does not have and negative indices.
Layer parse_layer(const std::string& text, const ModelConfig& config);

// "enc6,enc9".
std::vector<Layer> parse_layers(const std::string& text, const ModelConfig& config);

// Values per frame of a layer.
int layer_dim(const Layer& layer, const ModelConfig& config);

}  // namespace retort
