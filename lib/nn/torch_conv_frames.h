// The conv stack for inference on a CPU: frames by rows, a piece of one utterance at a time.
#pragma once

#include "nn/torch_conv_stack.h"

namespace retort {

// Faster than the operators that training needs: each convolution is one or two matrix products over the rows
// as they lie in memory, activations work in place, and pieces of the utterance stay in the processor's
// cache. A GroupNorm over time is folded into the first convolution, with statistics of the whole waveform,
// so that any run of frames can be computed alone.
class ConvFrames {
 public:
  // waveform: (samples), f32. Both arguments must outlive this. Without gradient.
  ConvFrames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveform);

  int64_t count() const { return count_; }
  // (count, channels): the frames from `first` on.
  at::Tensor frames(int64_t first, int64_t count) const;

 private:
  // The first convolution as a product: rows (frames, kernel) minus `centre`, times weight (kernel,
  // channels), plus bias.
  struct FirstConv {
    at::Tensor centre;  // (kernel); undefined: none
    at::Tensor weight;
    at::Tensor bias;  // undefined: none
  };

  FirstConv fold_norm_over_time() const;
  at::Tensor first_outputs(const at::Tensor& samples) const;

  const std::vector<ConvBlock>& blocks_;
  ConvNorm norm_;
  at::Tensor waveform_;
  FirstConv first_;
  int64_t count_ = 0;
  int64_t step_ = 1;   // samples from one frame to the next
  int64_t field_ = 1;  // samples that one frame sees
};

}  // namespace retort
