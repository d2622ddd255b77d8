// The convolutions that turn a waveform into frames.
#pragma once

#include <vector>

#include "model/norm_eps.h"
#include "nn/torch_derived.h"
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

// A convolution without padding, a norm or none, and GELU.
struct ConvBlock {
  ConvLayerShape shape;
  at::Tensor weight;       // (channels, channels in, kernel)
  at::Tensor bias;         // undefined: none
  at::Tensor norm_weight;  // undefined: no norm
  at::Tensor norm_bias;
  mutable DerivedTensor taps;  // the weight as (kernel, channels in, channels)

  // Outputs for `length` inputs, at least `kernel` of them.
  int64_t length_after(int64_t length) const { return (length - shape.kernel) / shape.stride + 1; }
};

class ConvStack {
 public:
  ConvStack(const ModelConfig& config, const ParameterTable& parameters);

  // (batch, samples) to (batch, frames, channels); `lengths` are the utterances' samples. The norm's
  // statistics see the frames of each utterance alone.
  at::Tensor forward(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const;

  const std::vector<ConvBlock>& blocks() const { return blocks_; }
  ConvNorm norm() const { return norm_; }

 private:
  at::Tensor forward_batch(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const;
  at::Tensor forward_each(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const;

  ConvNorm norm_;
  std::vector<ConvBlock> blocks_;
};

}  // namespace retort
