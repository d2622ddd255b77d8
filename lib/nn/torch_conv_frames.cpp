#include "nn/torch_conv_frames.h"

#include <algorithm>

namespace retort {
namespace {

// Frames computed at a time. More makes larger products, fewer fit the cache.
constexpr int64_t frames_per_piece = 128;

// The first convolution as a product: rows (frames, kernel) minus `centre`, times weight (kernel, channels),
// plus bias.
struct FirstConv {
  at::Tensor centre;  // (kernel); undefined: none
  at::Tensor weight;
  at::Tensor bias;  // undefined: none
};

// What the first convolution sees of the waveform for each of its outputs: (outputs, kernel), a view.
at::Tensor patches(const ConvBlock& block, const at::Tensor& waveform) {
  return waveform.unfold(0, block.shape.kernel, block.shape.stride);
}

// Mean and variance of every channel follow from mean and covariance of the patches, so that the norm becomes
// a factor of the weights and the patches' mean: no pass over the (long) outputs. In double, since
// covariances cancel.
FirstConv fold_norm_over_time(const ConvBlock& block, const at::Tensor& waveform) {
  const at::Tensor rows = patches(block, waveform).to(at::kDouble);
  const at::Tensor centre = rows.mean(at::IntArrayRef{0});
  const at::Tensor centred = rows - centre;
  const at::Tensor covariance = at::mm(centred.t(), centred) / static_cast<double>(rows.size(0));
  const at::Tensor weight = block.weight.squeeze(1).to(at::kDouble);
  const at::Tensor variance = (at::mm(weight, covariance) * weight).sum(at::IntArrayRef{1});
  const at::Tensor scale = block.norm_weight.to(at::kDouble) * (variance + conv_norm_eps).rsqrt();
  const at::Tensor folded = (weight * scale.unsqueeze(1)).t().to(at::kFloat).contiguous();
  return {centre, folded, block.norm_bias};  // a bias of the convolution falls out with the mean
}

at::Tensor first_outputs(const FirstConv& conv, const ConvBlock& block, const at::Tensor& samples) {
  at::Tensor rows = patches(block, samples);
  rows = conv.centre.defined() ? (rows - conv.centre).to(at::kFloat) : rows.contiguous();
  return conv.bias.defined() ? at::addmm(conv.bias, rows, conv.weight) : at::mm(rows, conv.weight);
}

// x is (frames, channels in). Output t needs rows t*stride .. t*stride + kernel - 1, which lie one after the
// other: the taps up to the stride are one product with rows `stride` frames apart, the next such group
// another, and so on.
at::Tensor convolve_rows(const ConvBlock& block, const at::Tensor& x) {
  const at::Tensor& taps = block.taps.get({block.weight}, [&] {
    return block.weight.permute({2, 1, 0}).contiguous();
  });
  const int64_t channels = x.size(1);
  const int64_t outputs = block.length_after(x.size(0));
  at::Tensor y;
  for (int64_t first = 0; first < block.shape.kernel; first += block.shape.stride) {
    const int64_t count = std::min<int64_t>(block.shape.stride, block.shape.kernel - first);
    const at::Tensor rows = x.as_strided({outputs, count * channels}, {block.shape.stride * channels, 1},
                                         x.storage_offset() + first * channels);
    const at::Tensor weight = taps.narrow(0, first, count).reshape({count * channels, block.shape.channels});
    if (first > 0) {
      y.addmm_(rows, weight);
    } else {
      y = block.bias.defined() ? at::addmm(block.bias, rows, weight) : at::mm(rows, weight);
    }
  }
  return y;
}

}  // namespace

at::Tensor conv_frames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveform) {
  const ConvBlock& first_block = blocks.front();
  const FirstConv first =
      norm == ConvNorm::group
          ? fold_norm_over_time(first_block, waveform)
          : FirstConv{{}, first_block.weight.squeeze(1).t().contiguous(), first_block.bias};
  int64_t frames = waveform.size(0);
  int64_t step = 1;   // samples from one frame to the next
  int64_t field = 1;  // samples that one frame sees
  for (const ConvBlock& block : blocks) {
    frames = block.length_after(frames);
    field += (block.shape.kernel - 1) * step;
    step *= block.shape.stride;
  }
  const at::Tensor result = at::empty({frames, blocks.back().shape.channels}, waveform.options());
  for (int64_t begin = 0; begin < frames; begin += frames_per_piece) {
    const int64_t count = std::min(frames_per_piece, frames - begin);
    at::Tensor x =
        first_outputs(first, first_block, waveform.narrow(0, begin * step, (count - 1) * step + field));
    for (const ConvBlock& block : blocks) {
      if (&block != &first_block) x = convolve_rows(block, x);
      if (norm == ConvNorm::layer) {
        x = at::layer_norm(x, block.norm_weight.sizes(), block.norm_weight, block.norm_bias, conv_norm_eps);
      }
      at::gelu_(x);
    }
    result.narrow(0, begin, count).copy_(x);
  }
  return result;
}

}  // namespace retort
