// The conv stack for inference: frames by rows.
#pragma once

#include "nn/torch_conv_stack.h"

namespace retort {

// Faster than the operators that training needs: each convolution is one or two matrix products over the rows
// as they lie in memory, and activations work in place. A GroupNorm over time is folded into the first
// convolution, with statistics of each whole waveform alone, so that padding needs no pass of its own and any
// run of frames can be computed alone. On a CPU a piece of the frames is computed at a time, which stays in
// the processor's cache; on a GPU all of them are.
class ConvFrames {
 public:
  // waveforms: (batch, samples), f32, of `lengths` samples each. The blocks must outlive this. Without
  // gradient.
  ConvFrames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveforms,
             const std::vector<int64_t>& lengths);

  // Of the longest waveform.
  int64_t count() const { return count_; }
  // (batch, count, channels), in the type of the weights: the frames from `first` on. What follows a
  // waveform's end is finite and without meaning.
  at::Tensor frames(int64_t first, int64_t count) const;

 private:
  // The first convolution as a product: rows (batch, frames, kernel) minus `centre`, times weight, plus bias.
  struct FirstConv {
    at::Tensor centre;  // (batch, 1, kernel), f64; undefined: none
    at::Tensor weight;  // (1 or batch, kernel, channels)
    at::Tensor bias;    // undefined: none
  };

  FirstConv fold_norm_over_time(const std::vector<int64_t>& lengths) const;
  at::Tensor first_outputs(const at::Tensor& samples) const;

  const std::vector<ConvBlock>& blocks_;
  ConvNorm norm_;
  at::Tensor waveforms_;
  FirstConv first_;
  int64_t count_ = 0;
  int64_t step_ = 1;   // samples from one frame to the next
  int64_t field_ = 1;  // samples that one frame sees
};

}  // namespace retort
