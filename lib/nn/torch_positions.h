// What tells the blocks where a frame stands: convolutions before the first, relative positions in all of
// them.
#pragma once

#include <vector>

#include "nn/torch_derived.h"
#include "nn/torch_parameters.h"

namespace retort {

// Adds what wide grouped convolutions see around each frame.
class PositionalConv {
 public:
  PositionalConv(const ModelConfig& config, const ParameterTable& parameters);

  // x + positions; x is (batch, frames, hidden), zero in frames after an utterance's end. padding: (batch,
  // frames) bool, true there; undefined where there are none.
  at::Tensor add_to(const at::Tensor& x, const at::Tensor& padding, bool training) const;

 private:
  struct Conv {
    at::Tensor weight, bias;
  };

  at::Tensor normalised_weight() const;
  // What convolve() does with that weight.
  at::Tensor convolve_normalised(const at::Tensor& x) const;
  // (batch, hidden, frames) to the same, before activation.
  at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const;
  at::Tensor stacked(at::Tensor x, const at::Tensor& padding) const;

  PositionalForm form_;
  int64_t kernel_;
  int64_t groups_;
  at::Tensor weight_v_, weight_g_, bias_;  // weight_norm
  mutable DerivedTensor kept_kernel_;      // of them, or its spectra, for forwards without gradient
  at::Tensor batch_weight_, batch_bias_, running_mean_, running_var_;  // batch_norm
  std::vector<Conv> convs_;                                            // batch_norm (one) and stacked
};

// WavLM's relative positions: a value per head and bucket of distances, which every block scales by a gate.
class RelativePositions {
 public:
  RelativePositions(const ModelConfig& config, const ParameterTable& parameters);

  // (heads, frames, frames) to be added to attention logits; undefined for models that have none.
  at::Tensor bias(int64_t frames) const;

 private:
  at::Tensor buckets(int64_t frames) const;

  int64_t buckets_;
  double distance_;
  at::Tensor table_;  // (buckets, heads)
};

}  // namespace retort
