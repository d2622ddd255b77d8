// Recurrent layers in the place of transformer blocks.
#pragma once

#include <vector>

#include "nn/torch_conv_stack.h"
#include "nn/torch_parameters.h"

namespace retort {

class LstmLayers {
 public:
  LstmLayers(const ModelConfig& config, const ParameterTable& parameters);

  // Outputs (batch, frames, hidden) of the first `count` layers for x (batch, frames, block_input). The way
  // back begins at each utterance's own end. In training, dropout acts between layers.
  std::vector<at::Tensor> forward(const at::Tensor& x, const FrameLengths& lengths, int count,
                                  bool training) const;

 private:
  // The same of a batch or, with batch_sizes, of packed frames.
  std::vector<at::Tensor> outputs(at::Tensor x, const at::Tensor& batch_sizes, int count,
                                  bool training) const;
  at::Tensor layer_output(size_t layer, const at::Tensor& x, const at::Tensor& batch_sizes,
                          bool training) const;

  const ModelConfig& config_;
  // A layer's, as at::lstm takes them: weight_ih, weight_hh, bias_ih, bias_hh, then those of the way back.
  std::vector<std::vector<at::Tensor>> weights_;
};

}  // namespace retort
