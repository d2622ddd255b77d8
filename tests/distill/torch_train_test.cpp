// Training through the library: what is learned, and that a resumed run is an unbroken one.
#include <torch/torch.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "base/random.h"
#include "distill/torch_adamw.h"
#include "distill/train.h"

using namespace retort;

TEST_CASE("AdamW follows its formula, and its state survives a file") {
  // Against the update written out in double precision (Loshchilov and Hutter, 2019; eps after the root,
  // decay decoupled).
  OptimizerOptions options;
  options.lr = 0.1;
  options.weight_decay = 0.05;
  options.clip_norm = 0;
  torch::manual_seed(1);
  torch::nn::Linear module(3, 1);
  AdamW optimizer(*module, options);
  std::vector<double> expected, m(3), v(3);
  for (int i = 0; i < 3; ++i) expected.push_back(module->weight[0][i].item<double>());
  const TemporaryFolder folder;
  for (int step = 1; step <= 5; ++step) {
    optimizer.zero_gradients();
    const at::Tensor input = torch::tensor({{1.0f * static_cast<float>(step), -2.0f, 0.5f}});
    module(input).sum().backward();
    optimizer.step(options.lr, 2.0);  // two examples halve the gradient
    for (int i = 0; i < 3; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double gradient = input[0][i].item<double>() / 2;
      m[at] = options.beta1 * m[at] + (1 - options.beta1) * gradient;
      v[at] = options.beta2 * v[at] + (1 - options.beta2) * gradient * gradient;
      const double m_hat = m[at] / (1 - std::pow(options.beta1, step)),
                   v_hat = v[at] / (1 - std::pow(options.beta2, step));
      expected[at] -= options.lr * options.weight_decay * expected[at];
      expected[at] -= options.lr * m_hat / (std::sqrt(v_hat) + options.eps);
      CHECK(module->weight[0][i].item<double>() == Approx(expected[at]).epsilon(1e-5));
    }
    if (step == 3) {  // what is loaded goes on as if nothing had happened
      optimizer.save(folder.path() / "state.safetensors");
      torch::NoGradGuard no_grad;
      module->weight.fill_(9);
      optimizer.load(folder.path() / "state.safetensors", step);
    }
  }
}

TEST_CASE("an update shows in the parameters' versions, and biases may be left from decay") {
  OptimizerOptions options;
  options.weight_decay = 0.5;
  options.decay_biases = false;
  torch::nn::Linear module(2, 2);
  AdamW optimizer(*module, options);
  const auto version = module->weight._version();
  const at::Tensor weight = module->weight.detach().clone(), bias = module->bias.detach().clone();
  optimizer.zero_gradients();
  optimizer.step(0.1, 1.0);
  CHECK(module->weight._version() > version);
  CHECK(module->weight.allclose(weight * 0.95));
  CHECK(module->bias.equal(bias));
}

TEST_CASE("a gradient that is not finite changes nothing") {
  torch::nn::Linear module(2, 1);
  AdamW optimizer(*module, OptimizerOptions());
  const at::Tensor weight = module->weight.detach().clone();
  module(torch::full({1, 2}, INFINITY)).sum().backward();
  CHECK_FALSE(std::isfinite(optimizer.step(0.1, 1.0)));
  CHECK(module->weight.equal(weight));
}

TEST_CASE("the gradient is clipped by its norm, which is reported unclipped") {
  OptimizerOptions options;
  options.clip_norm = 1;
  options.weight_decay = 0;
  torch::nn::Linear module(torch::nn::LinearOptions(4, 1).bias(false));
  AdamW optimizer(*module, options);
  module(torch::full({1, 4}, 10.0)).sum().backward();
  CHECK(optimizer.step(0.0, 1.0) == Approx(20.0));
  CHECK(module->weight.grad().norm().item<double>() == Approx(1.0));
}
