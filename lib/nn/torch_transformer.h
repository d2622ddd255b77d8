// The positional convolution and the transformer blocks.
#pragma once

#include "nn/torch_derived.h"
#include "nn/torch_parameters.h"

namespace retort {

// Adds what a wide grouped convolution sees around each frame.
class PositionalConv {
 public:
  PositionalConv(const ModelConfig& config, const ParameterTable& parameters);

  // x + gelu(conv(x)); x is (batch, frames, hidden), zero in frames after an utterance's end.
  at::Tensor add_to(const at::Tensor& x) const;

 private:
  at::Tensor weight() const;

  int64_t kernel_;
  int64_t groups_;
  at::Tensor weight_v_, weight_g_, bias_;
  mutable DerivedTensor kept_weight_;  // for forwards without gradient
};

class TransformerBlock {
 public:
  TransformerBlock(const ModelConfig& config, const ParameterTable& parameters, int index);

  // (batch, frames, hidden) to the same. attend: (batch, 1, 1, frames) bool, true for frames that may be
  // looked at; undefined where all may.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& attend, bool training) const;

 private:
  struct Linear {
    at::Tensor weight, bias;
  };

  at::Tensor attention(const at::Tensor& x, const at::Tensor& attend, bool training) const;
  at::Tensor feed_forward(const at::Tensor& x, bool training) const;
  at::Tensor norm(const at::Tensor& x, const Linear& scale) const;

  const ModelConfig& config_;
  Linear query_, key_, value_, out_;
  Linear up_, down_;
  Linear attention_norm_, final_norm_;
};

}  // namespace retort
