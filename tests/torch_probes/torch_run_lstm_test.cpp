#include <catch2/catch.hpp>

#include "torch_probes/torch_head.h"

using namespace retort;

namespace {

// The same by LibTorch's own packed sequences.
at::Tensor run_packed(torch::nn::LSTM& lstm, const at::Tensor& features, const at::Tensor& frames) {
  namespace rnn = torch::nn::utils::rnn;
  const auto packed = rnn::pack_padded_sequence(features, frames, true, false);
  const auto outputs = std::get<0>(lstm->forward_with_packed_input(packed));
  return std::get<0>(rnn::pad_packed_sequence(outputs, true, 0, features.size(1)));
}

}  // namespace

TEST_CASE(
    "each row of an LSTM sees its own frames only, one way and both, with the gradients of packed ones") {
  torch::manual_seed(3);
  for (const bool both_ways : {false, true}) {
    CAPTURE(both_ways);
    torch::nn::LSTM lstm(
        torch::nn::LSTMOptions(5, 7).num_layers(2).bidirectional(both_ways).batch_first(true));
    const at::Tensor frames = torch::tensor({4, 9, 1}, torch::kLong);
    const at::Tensor features = at::randn({3, 9, 5}).requires_grad_();
    const at::Tensor expected = run_packed(lstm, features, frames), found = run_lstm(lstm, features, frames);
    CHECK(found.sizes() == expected.sizes());
    CHECK((found - expected).abs().max().item<float>() < 1e-6F);

    const auto gradients = [&](const at::Tensor& outputs) {
      std::vector<at::Tensor> inputs = lstm->parameters();
      inputs.push_back(features);
      return torch::autograd::grad({outputs.square().sum()}, inputs);
    };
    const std::vector<at::Tensor> theirs = gradients(expected), ours = gradients(found);
    for (std::size_t i = 0; i < ours.size(); ++i)
      CHECK((ours[i] - theirs[i]).abs().max().item<float>() < 1e-5F);
  }
}
