// The convolutions that turn a waveform into frames.
#pragma once

#include <vector>

#include "nn/torch_parameters.h"

namespace retort {

// Frame counts of a batch: which frames of each row belong to its utterance.
struct FrameLengths {
  std::vector<int64_t> valid;  // per utterance
  int64_t longest = 0;         // frames of the tensor

  bool equal() const;
  // (batch, longest) bool, true for frames after the utterance's end.
  at::Tensor padding(const at::Device& device) const;
};

class ConvStack {
 public:
  ConvStack(const ModelConfig& config, const ParameterTable& parameters);

  // (batch, samples) to (batch, frames, channels); `lengths` are the utterances' samples. The norm's
  // statistics see the frames of each utterance alone.
  at::Tensor forward(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const;

 private:
  struct Block {
    ConvLayerShape shape;
    at::Tensor weight;       // (channels, channels in, kernel)
    at::Tensor bias;         // undefined: none
    at::Tensor norm_weight;  // undefined: no norm
    at::Tensor norm_bias;
  };

  ConvNorm norm_;
  std::vector<Block> blocks_;
};

}  // namespace retort
