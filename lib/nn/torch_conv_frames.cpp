#include "nn/torch_conv_frames.h"

#include <algorithm>

#include "nn/torch_precision.h"

namespace retort {
namespace {

// Frames computed at a time on a CPU. More makes larger products, fewer fit the cache.
constexpr int64_t frames_per_piece = 128;

// To a GPU, of memory that the call itself has read when it returns: nothing waits for the kernels before it.
constexpr bool non_blocking = true;

// Rows of patches that are summed up at a time, so that hours of audio take no more memory than minutes.
constexpr int64_t rows_per_sum = 1 << 20;

// What the first convolution sees of the waveforms for each of its outputs: (batch, outputs, kernel), a view.
at::Tensor patches(const ConvBlock& block, const at::Tensor& waveforms) {
  return waveforms.unfold(1, block.shape.kernel, block.shape.stride);
}

// Calls take(rows, first row) for runs of rows (batch, run, kernel), in double.
template <class Take>
void for_each_run(const at::Tensor& rows, const Take& take) {
  const int64_t together = std::max<int64_t>(rows_per_sum / rows.size(0), 1);
  for (int64_t begin = 0; begin < rows.size(1); begin += together)
    take(rows.narrow(1, begin, std::min(together, rows.size(1) - begin)).to(at::kDouble), begin);
}

// Rows (batch, rows, in) times weight (1 or batch, in, out), plus `bias` (out) where it is defined.
at::Tensor product(const at::Tensor& rows, const at::Tensor& weight, const at::Tensor& bias) {
  if (rows.size(0) == 1) {  // which CPUs have faster products for
    const at::Tensor matrix = rows.squeeze(0), by = weight.squeeze(0);
    return (bias.defined() ? at::addmm(bias, matrix, by) : at::mm(matrix, by)).unsqueeze(0);
  }
  const at::Tensor by = weight.expand({rows.size(0), -1, -1});
  return bias.defined() ? at::baddbmm(bias, rows, by) : at::bmm(rows, by);
}

// x is (batch, frames, channels in). Output t needs rows t*stride .. t*stride + kernel - 1, which lie one
// after the other: the taps up to the stride are one product with rows `stride` frames apart, the next such
// group another, and so on.
at::Tensor convolve_rows(const ConvBlock& block, const at::Tensor& x) {
  const at::Tensor& taps = block.taps.get({block.weight}, [&] {
    return block.weight.permute({2, 1, 0}).contiguous();
  });
  const int64_t channels = x.size(2);
  const int64_t outputs = block.length_after(x.size(1));
  at::Tensor y;
  for (int64_t first = 0; first < block.shape.kernel; first += block.shape.stride) {
    const int64_t count = std::min<int64_t>(block.shape.stride, block.shape.kernel - first);
    const at::Tensor rows =
        x.as_strided({x.size(0), outputs, count * channels}, {x.stride(0), block.shape.stride * channels, 1},
                     x.storage_offset() + first * channels);
    const at::Tensor weight =
        taps.narrow(0, first, count).reshape({1, count * channels, block.shape.channels});
    if (first == 0) {
      y = product(rows, weight, block.bias);
    } else if (x.size(0) == 1) {
      y.squeeze(0).addmm_(rows.squeeze(0), weight.squeeze(0));
    } else {
      y.baddbmm_(rows, weight.expand({x.size(0), -1, -1}));
    }
  }
  return y;
}

}  // namespace

ConvFrames::ConvFrames(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveforms,
                       const std::vector<int64_t>& lengths)
    : blocks_(blocks), norm_(norm), waveforms_(waveforms), count_(waveforms.size(1)) {
  for (const ConvBlock& block : blocks_) {
    count_ = block.length_after(count_);
    field_ += (block.shape.kernel - 1) * step_;
    step_ *= block.shape.stride;
  }
  const ConvBlock& first = blocks_.front();
  first_ = norm_ == ConvNorm::group
               ? fold_norm_over_time(lengths)
               : FirstConv{{}, first.weight.squeeze(1).t().contiguous().unsqueeze(0), first.bias};
}

// Mean and variance of every channel follow from mean and covariance of the patches, so that the norm becomes
// a factor of the weights and the patches' mean: no pass over the (long) outputs. In double, since
// covariances cancel.
ConvFrames::FirstConv ConvFrames::fold_norm_over_time(const std::vector<int64_t>& lengths) const {
  const ConvBlock& block = blocks_.front();
  const at::Tensor rows = patches(block, waveforms_);
  FrameLengths outputs{{}, rows.size(1)};
  for (const int64_t length : lengths) outputs.valid.push_back(block.length_after(length));
  at::Tensor padding;  // (batch, outputs, 1)
  if (!outputs.equal()) padding = outputs.padding(waveforms_.device()).unsqueeze(2);
  const auto without_padding = [&](const at::Tensor& run, int64_t first) {
    return padding.defined() ? run.masked_fill(padding.narrow(1, first, run.size(1)), 0) : run;
  };
  const auto options = waveforms_.options().dtype(at::kDouble);
  const at::Tensor counts =
      torch::tensor(outputs.valid, torch::kDouble).view({-1, 1, 1}).to(waveforms_.device(), non_blocking);
  const int64_t batch = rows.size(0), kernel = block.shape.kernel;

  at::Tensor centre = at::zeros({batch, 1, kernel}, options);
  for_each_run(rows, [&](const at::Tensor& run, int64_t first) {
    centre += without_padding(run, first).sum(at::IntArrayRef{1}, /*keepdim=*/true);
  });
  centre /= counts;
  at::Tensor covariance = at::zeros({batch, kernel, kernel}, options);
  for_each_run(rows, [&](const at::Tensor& run, int64_t first) {
    const at::Tensor centred = without_padding(run - centre, first);
    covariance.baddbmm_(centred.transpose(1, 2), centred);
  });
  covariance /= counts;

  const at::Tensor weight = block.weight.squeeze(1).to(at::kDouble);  // (channels, kernel)
  const at::Tensor variance = (at::matmul(weight, covariance) * weight).sum(at::IntArrayRef{2});
  const at::Tensor scale = block.norm_weight.to(at::kDouble) * (variance + conv_norm_eps).rsqrt();
  const at::Tensor folded =
      (weight * scale.unsqueeze(2)).transpose(1, 2).to(block.weight.scalar_type()).contiguous();
  return {centre, folded, block.norm_bias};  // a bias of the convolution falls out with the mean
}

at::Tensor ConvFrames::first_outputs(const at::Tensor& samples) const {
  at::Tensor rows = patches(blocks_.front(), samples);
  if (first_.centre.defined()) rows = rows - first_.centre;
  return product(rows.to(first_.weight.scalar_type()).contiguous(), first_.weight, first_.bias);
}

at::Tensor ConvFrames::frames(int64_t first, int64_t count) const {
  const int64_t together = waveforms_.is_cpu() ? frames_per_piece : count;
  const at::Tensor result =
      at::empty({waveforms_.size(0), count, blocks_.back().shape.channels}, blocks_.back().weight.options());
  for (int64_t begin = 0; begin < count; begin += together) {
    const int64_t piece = std::min(together, count - begin);
    at::Tensor x = first_outputs(waveforms_.narrow(1, (first + begin) * step_, (piece - 1) * step_ + field_));
    for (const ConvBlock& block : blocks_) {
      if (&block != &blocks_.front()) x = convolve_rows(block, to_be_multiplied(x, block.weight));
      if (norm_ == ConvNorm::layer) {
        x = at::layer_norm(x, block.norm_weight.sizes(), block.norm_weight, block.norm_bias, conv_norm_eps);
      }
      at::gelu_(x);
    }
    result.narrow(1, begin, piece).copy_(x);
  }
  return result;
}

}  // namespace retort
