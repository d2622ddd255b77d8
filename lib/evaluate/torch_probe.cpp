#include <torch/torch.h>

#include <tuple>

#include "base/random.h"
#include "base/threads.h"
#include "evaluate/probe_training.h"

namespace retort {
namespace {

constexpr int64_t hidden_width = 256;
constexpr double least_deviation = 1e-6;

struct ProbeModule : torch::nn::Module {
  ProbeModule(const ProbeData& data, bool hidden_layer) {
    mix = register_parameter("mix", torch::zeros({data.layers}));
    if (hidden_layer) hidden = register_module("hidden", torch::nn::Linear(data.dim, hidden_width));
    output =
        register_module("output", torch::nn::Linear(hidden_layer ? hidden_width : data.dim, data.classes));
  }

  // (rows, layers, dim) to (rows, classes).
  at::Tensor forward(const at::Tensor& features) {
    at::Tensor x = (features * mix.softmax(0).view({1, -1, 1})).sum(1);
    if (hidden) x = at::relu(hidden(x));
    return output(x);
  }

  at::Tensor mix;
  torch::nn::Linear hidden{nullptr}, output{nullptr};
};

at::Tensor features_of(const ProbeSplit& split, const ProbeData& data) {
  return at::from_blob(const_cast<float*>(split.features.data()), {split.rows, data.layers, data.dim},
                       at::kFloat);
}

at::Tensor classes_of(const ProbeSplit& split) {
  return at::from_blob(const_cast<int64_t*>(split.classes.data()), {split.rows}, at::kLong);
}

int64_t correct(const at::Tensor& logits, const at::Tensor& classes) {
  return logits.argmax(1).eq(classes).sum().item<int64_t>();
}

}  // namespace

void require_probe_training() {}

ProbeScore train_probe(const ProbeData& data, const ProbeTraining& options) {
  at::set_num_threads(options.threads > 0 ? options.threads : available_threads());
  torch::manual_seed(mix_seed({options.seed, 21}));
  const at::Tensor raw = features_of(data.train, data);
  const at::Tensor mean = raw.mean(0, true);
  const at::Tensor deviation = raw.std(0, false, true).clamp_min(least_deviation);
  const auto standardised = [&](const ProbeSplit& split) {
    return (features_of(split, data) - mean) / deviation;
  };
  const at::Tensor train = standardised(data.train), dev = standardised(data.dev),
                   test = standardised(data.test);

  ProbeModule probe(data, options.hidden_layer);
  torch::optim::Adam adam(probe.parameters(), torch::optim::AdamOptions(options.lr));
  ProbeScore best{-1, 0, 0, {}};
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    adam.zero_grad();
    at::cross_entropy_loss(probe.forward(train), classes_of(data.train)).backward();
    adam.step();
    const torch::NoGradGuard no_grad;
    const at::Tensor dev_logits = probe.forward(dev);
    const int64_t dev_correct = correct(dev_logits, classes_of(data.dev));
    const auto dev_loss = at::cross_entropy_loss(dev_logits, classes_of(data.dev)).item<double>();
    if (std::tuple(-dev_correct, dev_loss) >= std::tuple(-best.dev_correct, best.dev_loss)) continue;
    best.dev_correct = dev_correct;
    best.dev_loss = dev_loss;
    best.test_correct = correct(probe.forward(test), classes_of(data.test));
    const at::Tensor weights = probe.mix.detach().softmax(0).to(at::kDouble);
    best.layer_weights.assign(weights.const_data_ptr<double>(),
                              weights.const_data_ptr<double>() + data.layers);
  }
  return best;
}

}  // namespace retort
