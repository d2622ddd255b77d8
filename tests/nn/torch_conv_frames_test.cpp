// The conv stack by rows: a batch of any lengths gives what each waveform gives alone.
#include "nn/torch_conv_frames.h"

#include <catch2/catch.hpp>

#include "torch_goldens.h"

using namespace retort;

namespace {

constexpr int64_t channels = 6;

// Kernels below, at and above twice the stride, with a bias where the model has one.
std::vector<ConvBlock> random_blocks(ConvNorm norm) {
  torch::manual_seed(5);
  std::vector<ConvBlock> blocks;
  for (const ConvLayerShape& shape :
       {ConvLayerShape{channels, 10, 5}, ConvLayerShape{channels, 3, 2}, ConvLayerShape{channels, 2, 2}}) {
    ConvBlock block{shape, {}, {}, {}, {}, {}};
    block.weight = torch::randn({channels, blocks.empty() ? 1 : channels, shape.kernel}) * 0.4;
    if (norm == ConvNorm::layer) block.bias = torch::randn({channels});
    if (norm == ConvNorm::layer || blocks.empty()) {
      block.norm_weight = torch::rand({channels}) + 0.5;
      block.norm_bias = torch::randn({channels});
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

// By the operators that training uses, of one waveform (1, samples).
at::Tensor by_operators(const std::vector<ConvBlock>& blocks, ConvNorm norm, const at::Tensor& waveform) {
  at::Tensor x = waveform.unsqueeze(1);
  for (const ConvBlock& block : blocks) {
    x = at::conv1d(x, block.weight, block.bias, block.shape.stride);
    if (norm == ConvNorm::layer) {
      x = at::layer_norm(x.transpose(1, 2), block.norm_weight.sizes(), block.norm_weight, block.norm_bias,
                         conv_norm_eps)
              .transpose(1, 2);
    } else if (block.norm_weight.defined()) {
      x = at::group_norm(x, channels, block.norm_weight, block.norm_bias, conv_norm_eps);
    }
    x = at::gelu(x);
  }
  return x.transpose(1, 2);
}

}  // namespace

TEST_CASE("a padded batch by rows is what operators make of each waveform", "[nn]") {
  const torch::NoGradGuard no_grad;
  const std::vector<int64_t> lengths = {4000, 31, 16000, 999};
  for (const ConvNorm norm : {ConvNorm::group, ConvNorm::layer}) {
    const std::vector<ConvBlock> blocks = random_blocks(norm);
    at::Tensor padded = torch::randn({4, 16000}) * 0.3 + 0.1;
    for (size_t i = 0; i < lengths.size(); ++i)
      padded[static_cast<int64_t>(i)].narrow(0, lengths[i], 16000 - lengths[i]).zero_();
    const ConvFrames batch(blocks, norm, padded, lengths);
    const at::Tensor all = batch.frames(0, batch.count());
    CHECK(all.isfinite().all().item<bool>());
    for (size_t i = 0; i < lengths.size(); ++i) {
      CAPTURE(i);
      const auto row = static_cast<int64_t>(i);
      const at::Tensor expected =
          by_operators(blocks, norm, padded.narrow(0, row, 1).narrow(1, 0, lengths[i]));
      CHECK(relative_distance(all.narrow(0, row, 1).narrow(1, 0, expected.size(1)), expected) < 1e-5);
    }
    // Any run of frames is that of all of them.
    CHECK(relative_distance(batch.frames(150, 333), all.narrow(1, 150, 333)) < 1e-6);
  }
}
