// The transformer blocks.
#pragma once

#include <optional>

#include "nn/torch_parameters.h"

namespace retort {

class TransformerBlock {
 public:
  TransformerBlock(const ModelConfig& config, const ParameterTable& parameters, int index);

  // (batch, frames, hidden) to the same. attend: (batch, 1, 1, frames) bool, true for frames that may be
  // looked at; undefined where all may. positions: RelativePositions::bias(). map: where blocks share it, who
  // looks where (batch, heads, frames, frames), which the first of them writes and the others read.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& attend, const at::Tensor& positions,
                     bool training, at::Tensor& map) const;

 private:
  struct Linear {
    at::Tensor weight, bias;
  };

  at::Tensor attention(const at::Tensor& x, const at::Tensor& attend, const at::Tensor& positions,
                       bool training, at::Tensor& map) const;
  // (batch, frames, hidden) to (batch, heads, frames, hidden / heads).
  at::Tensor by_head(const at::Tensor& x, const Linear& linear) const;
  at::Tensor attention_map(const at::Tensor& x, const at::Tensor& attend) const;
  // What attention adds to its logits, or a mask of what it may look at; nothing where all is equal.
  std::optional<at::Tensor> attention_mask(const at::Tensor& x, const at::Tensor& attend,
                                           const at::Tensor& positions) const;
  at::Tensor feed_forward(const at::Tensor& x, bool training) const;
  at::Tensor norm(const at::Tensor& x, const Linear& scale) const;

  const ModelConfig& config_;
  Linear query_, key_, value_, out_;
  Linear up_, down_;
  Linear attention_norm_, final_norm_;
  Linear gate_;            // of relative positions
  at::Tensor gate_const_;  // (1, heads, 1, 1)
};

}  // namespace retort
