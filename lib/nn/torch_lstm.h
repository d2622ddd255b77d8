// Recurrent layers in the place of transformer blocks.
#pragma once

#include <vector>

#include "nn/torch_conv_stack.h"
#include "nn/torch_parameters.h"

namespace retort {

// Where the frames stand when every utterance is turned round, and what is behind its end stays: (batch,
// longest, 1) int64 for `lengths` (batch) int64.
at::Tensor turned_frames(const at::Tensor& lengths, int64_t longest);

// One LSTM layer: x (batch, frames, width) to (batch, frames, ways * hidden). `weights` are as at::lstm takes
// them: weight_ih, weight_hh, bias_ih, bias_hh, then those of the way back where there is one. It begins at
// each utterance's own end by `turned`, of turned_frames(), and at the tensor's where that is undefined.
// Packed sequences would do the same, but their gradient takes time that grows with the square of the frames
// on a CPU.
at::Tensor lstm_layer(const at::Tensor& x, const std::vector<at::Tensor>& weights, const at::Tensor& turned,
                      bool training);

class LstmLayers {
 public:
  LstmLayers(const ModelConfig& config, const ParameterTable& parameters);

  // Outputs (batch, frames, hidden) of the first `count` layers for x (batch, frames, block_input). The way
  // back begins at each utterance's own end. In training, dropout acts between layers.
  std::vector<at::Tensor> forward(const at::Tensor& x, const FrameLengths& lengths, int count,
                                  bool training) const;

 private:
  const ModelConfig& config_;
  std::vector<std::vector<at::Tensor>> weights_;  // a layer's, as lstm_layer() takes them
};

}  // namespace retort
