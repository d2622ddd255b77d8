// Outputs that learned to be a teacher's layers.
#pragma once

#include <vector>

#include "nn/torch_parameters.h"

namespace retort {

class PredictionHeadOutputs {
 public:
  PredictionHeadOutputs(const ModelConfig& config, const ParameterTable& parameters);

  // One (batch, frames, dim) per head, in the order of config.prediction.layers. blocks: outputs of the
  // blocks, blocks[0] the input of the first. Upsampled heads have time_reduction times the frames of these,
  // but no more than `frames`.
  std::vector<at::Tensor> forward(const std::vector<at::Tensor>& blocks, int64_t frames) const;

 private:
  struct Linear {
    at::Tensor weight, bias;
  };

  std::vector<at::Tensor> split(const at::Tensor& x) const;
  at::Tensor upsampled(const at::Tensor& x, size_t head, int64_t frames) const;

  const ModelConfig& config_;
  Linear inner_, split_;
  std::vector<Linear> upsamplers_,
      projections_;  // a head each; a projection is undefined where none is needed
};

}  // namespace retort
