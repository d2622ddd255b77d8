#include "nn/torch_spectral_conv.h"

#include <torch/torch.h>

#include <catch2/catch.hpp>
#include <vector>

using namespace retort;

namespace {

constexpr int64_t groups = 3;

struct Inputs {
  at::Tensor x, weight;
};

Inputs random_inputs(int64_t frames, int64_t kernel) {
  torch::manual_seed(5);
  const auto leaf = [](at::IntArrayRef shape) { return torch::randn(shape, at::kDouble).requires_grad_(); };
  return {leaf({2, 12, frames}), leaf({6, 4, kernel})};
}

at::Tensor by_taps(const Inputs& in) {
  const int64_t kernel = in.weight.size(2);
  return at::conv1d(in.x, in.weight, {}, 1, kernel / 2, 1, groups).narrow(2, 0, in.x.size(2));
}

at::Tensor by_spectra(const Inputs& in) {
  return convolve_spectra(in.x, kernel_spectra(in.weight, groups), in.weight.size(2));
}

}  // namespace

TEST_CASE("a convolution by spectra has the outputs and gradients of conv1d, over any number of blocks") {
  const int64_t kernel = GENERATE(32, 33, 128);
  const int64_t frames = GENERATE(1, 40, 129, 700);  // less than a kernel, one block, one more frame, several
  CAPTURE(kernel, frames);
  const Inputs in = random_inputs(frames, kernel);
  const at::Tensor theirs = by_taps(in);
  const at::Tensor ours = by_spectra(in);
  CHECK(at::allclose(ours, theirs, 1e-10, 1e-10));

  const at::Tensor weights = torch::randn_like(theirs);
  const auto gradients = [&](const at::Tensor& y) {
    return torch::autograd::grad({y}, {in.x, in.weight}, {weights});
  };
  const auto of_theirs = gradients(theirs), of_ours = gradients(ours);
  for (std::size_t i = 0; i < of_ours.size(); ++i)
    CHECK(at::allclose(of_ours[i], of_theirs[i], 1e-10, 1e-10));
}

TEST_CASE("only wide kernels are convolved by spectra") {
  CHECK(spectra_are_faster(torch::zeros({16, 2, 128})));
  CHECK_FALSE(spectra_are_faster(torch::zeros({16, 2, 16})));
}
