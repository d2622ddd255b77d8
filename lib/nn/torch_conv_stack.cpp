#include "nn/torch_conv_stack.h"

#include <algorithm>

#include "nn/torch_conv_frames.h"
#include "nn/torch_precision.h"

namespace retort {
namespace {

// GroupNorm with one group per channel, over the frames of each utterance; x is (batch, channels, frames).
// One call per utterance takes half the time of one set of masked sums.
at::Tensor norm_over_time(const at::Tensor& x, const FrameLengths& lengths, const at::Tensor& weight,
                          const at::Tensor& bias) {
  const auto norm = [&](const at::Tensor& y) {
    return at::group_norm(in_full_precision(y), y.size(1), weight, bias, conv_norm_eps);
  };
  if (lengths.equal()) return norm(x);
  std::vector<at::Tensor> each;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const int64_t frames = lengths.valid[static_cast<size_t>(i)];
    each.push_back(
        at::constant_pad_nd(norm(x.narrow(0, i, 1).narrow(2, 0, frames)), {0, lengths.longest - frames}));
  }
  return at::cat(each);
}

at::Tensor norm_over_channels(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(in_full_precision(x).transpose(1, 2), weight.sizes(), weight, bias, conv_norm_eps)
      .transpose(1, 2);
}

}  // namespace

bool FrameLengths::equal() const {
  return std::all_of(valid.begin(), valid.end(), [this](int64_t frames) { return frames == longest; });
}

at::Tensor FrameLengths::padding(const at::Device& device) const {
  const at::Tensor ends = torch::tensor(valid, torch::kInt64).unsqueeze(1);
  // A few values, which are read at once: kernels that a GPU has still to run are not waited for.
  return (torch::arange(longest, torch::kInt64).unsqueeze(0) >= ends).to(device, /*non_blocking=*/true);
}

ConvStack::ConvStack(const ModelConfig& config, const ParameterTable& parameters) : norm_(config.conv_norm) {
  for (size_t i = 0; i < config.conv.size(); ++i) {
    const std::string name = fmt::format("feature_extractor.conv_layers.{}", i);
    blocks_.push_back({config.conv[i],
                       parameters[name + ".conv.weight"],
                       parameters[name + ".conv.bias"],
                       parameters[name + ".layer_norm.weight"],
                       parameters[name + ".layer_norm.bias"],
                       {}});
  }
}

at::Tensor ConvStack::forward(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const {
  const bool rows_are_faster =
      !at::GradMode::is_enabled() && !at::autocast::is_autocast_enabled(waveforms.device().type());
  if (!rows_are_faster) return forward_batch(waveforms, lengths);
  if (waveforms.device().is_cpu()) return forward_each(waveforms, lengths);
  const ConvFrames conv(blocks_, norm_, waveforms, lengths);
  return conv.frames(0, conv.count());
}

at::Tensor ConvStack::forward_batch(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const {
  FrameLengths frames{lengths, waveforms.size(1)};
  at::Tensor x = waveforms.unsqueeze(1);
  for (const ConvBlock& block : blocks_) {
    for (int64_t& length : frames.valid) length = block.length_after(length);
    frames.longest = block.length_after(frames.longest);
    x = at::conv1d(x, block.weight, block.bias, block.shape.stride);
    if (block.norm_weight.defined()) {
      x = norm_ == ConvNorm::group ? norm_over_time(x, frames, block.norm_weight, block.norm_bias)
                                   : norm_over_channels(x, block.norm_weight, block.norm_bias);
    }
    x = at::gelu(x);
  }
  return x.transpose(1, 2);
}

// Zeros in frames after an utterance's end.
at::Tensor ConvStack::forward_each(const at::Tensor& waveforms, const std::vector<int64_t>& lengths) const {
  const int64_t batch = waveforms.size(0);
  std::vector<at::Tensor> each;
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t length = lengths[static_cast<size_t>(i)];
    const ConvFrames conv(blocks_, norm_, waveforms.narrow(0, i, 1).narrow(1, 0, length), {length});
    each.push_back(conv.frames(0, conv.count()).squeeze(0));
  }
  int64_t longest = 0;
  for (const at::Tensor& frames : each) longest = std::max(longest, frames.size(0));
  const at::Tensor result = at::zeros({batch, longest, each.front().size(1)}, each.front().options());
  for (int64_t i = 0; i < batch; ++i)
    result[i].narrow(0, 0, each[static_cast<size_t>(i)].size(0)).copy_(each[static_cast<size_t>(i)]);
  return result;
}

}  // namespace retort
