#include "nn/torch_conv_frames.h"

#include <algorithm>

namespace retort {
namespace {

// Frames computed at a time. More makes larger products, fewer fit the cache.
constexpr int64_t frames_per_piece = 128;

// Rows of patches that are summed up at a time, so that hours of audio take no more memory than minutes.
constexpr int64_t rows_per_sum = 1 << 20;

// What the first convolution sees of the waveform for each of its outputs: (outputs, kernel), a view.
at::Tensor patches(const ConvBlock& block, const at::Tensor& waveform) {
  return waveform.unfold(0, block.shape.kernel, block.shape.stride);
}

// Calls take(rows) for runs of rows, in double.
template <class Take>
void for_each_run(const at::Tensor& rows, const Take& take) {
  for (int64_t begin = 0; begin < rows.size(0); begin += rows_per_sum)
    take(rows.narrow(0, begin, std::min(rows_per_sum, rows.size(0) - begin)).to(at::kDouble));
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

ConvFrames::ConvFrames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveform)
    : blocks_(blocks), norm_(norm), waveform_(waveform), count_(waveform.size(0)) {
  for (const ConvBlock& block : blocks_) {
    count_ = block.length_after(count_);
    field_ += (block.shape.kernel - 1) * step_;
    step_ *= block.shape.stride;
  }
  const ConvBlock& first = blocks_.front();
  first_ = norm_ == ConvNorm::group ? fold_norm_over_time()
                                    : FirstConv{{}, first.weight.squeeze(1).t().contiguous(), first.bias};
}

// Mean and variance of every channel follow from mean and covariance of the patches, so that the norm becomes
// a factor of the weights and the patches' mean: no pass over the (long) outputs. In double, since
// covariances cancel.
ConvFrames::FirstConv ConvFrames::fold_norm_over_time() const {
  const ConvBlock& block = blocks_.front();
  const at::Tensor rows = patches(block, waveform_);
  const auto options = waveform_.options().dtype(at::kDouble);
  at::Tensor centre = at::zeros({block.shape.kernel}, options);
  for_each_run(rows, [&](const at::Tensor& run) { centre += run.sum(at::IntArrayRef{0}); });
  centre /= static_cast<double>(rows.size(0));
  at::Tensor covariance = at::zeros({block.shape.kernel, block.shape.kernel}, options);
  for_each_run(rows, [&](const at::Tensor& run) {
    const at::Tensor centred = run - centre;
    covariance.addmm_(centred.t(), centred);
  });
  covariance /= static_cast<double>(rows.size(0));
  const at::Tensor weight = block.weight.squeeze(1).to(at::kDouble);
  const at::Tensor variance = (at::mm(weight, covariance) * weight).sum(at::IntArrayRef{1});
  const at::Tensor scale = block.norm_weight.to(at::kDouble) * (variance + conv_norm_eps).rsqrt();
  const at::Tensor folded = (weight * scale.unsqueeze(1)).t().to(at::kFloat).contiguous();
  return {centre, folded, block.norm_bias};  // a bias of the convolution falls out with the mean
}

at::Tensor ConvFrames::first_outputs(const at::Tensor& samples) const {
  at::Tensor rows = patches(blocks_.front(), samples);
  rows = first_.centre.defined() ? (rows - first_.centre).to(at::kFloat) : rows.contiguous();
  return first_.bias.defined() ? at::addmm(first_.bias, rows, first_.weight) : at::mm(rows, first_.weight);
}

at::Tensor ConvFrames::frames(int64_t first, int64_t count) const {
  const at::Tensor result = at::empty({count, blocks_.back().shape.channels}, waveform_.options());
  for (int64_t begin = 0; begin < count; begin += frames_per_piece) {
    const int64_t piece = std::min(frames_per_piece, count - begin);
    at::Tensor x = first_outputs(waveform_.narrow(0, (first + begin) * step_, (piece - 1) * step_ + field_));
    for (const ConvBlock& block : blocks_) {
      if (&block != &blocks_.front()) x = convolve_rows(block, x);
      if (norm_ == ConvNorm::layer) {
        x = at::layer_norm(x, block.norm_weight.sizes(), block.norm_weight, block.norm_bias, conv_norm_eps);
      }
      at::gelu_(x);
    }
    result.narrow(0, begin, piece).copy_(x);
  }
  return result;
}

}  // namespace retort
