// The conv stack for inference on a CPU: frames by rows, a piece of one utterance at a time.
#pragma once

#include "nn/torch_conv_stack.h"

namespace retort {

// (frames, channels) of one waveform (samples), without gradient. Faster than the operators that training
// needs: each convolution is one or two matrix products over the rows as they lie in memory, activations work
// in place, and pieces of the utterance stay in the processor's cache. A GroupNorm over time is folded into
// the first convolution.
at::Tensor conv_frames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveform);

}  // namespace retort
