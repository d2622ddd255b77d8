#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "base/random.h"
#include "base/signals.h"
#include "base/threads.h"
#include "torch_probes/torch_head.h"
#include "torch_probes/torch_trainers.h"

namespace retort {
namespace {

constexpr int64_t hidden_width = 256;
constexpr double least_deviation = 1e-6;

struct ProbeModule : torch::nn::Module {
  ProbeModule(const ProbeData& data, bool hidden_layer) {
    mix = register_parameter("mix", torch::zeros({data.layers}));
    if (hidden_layer) hidden = register_module("hidden", torch::nn::Linear(data.dim, hidden_width));
    const int64_t outputs = std::accumulate(data.classes.begin(), data.classes.end(), int64_t{0});
    output = register_module("output", torch::nn::Linear(hidden_layer ? hidden_width : data.dim, outputs));
  }

  // (rows, layers, dim) to (rows, classes of all slots).
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

at::Tensor classes_of(const ProbeSplit& split, const ProbeData& data) {
  return at::from_blob(const_cast<int64_t*>(split.classes.data()),
                       {split.rows, static_cast<int64_t>(data.classes.size())}, at::kLong);
}

// Each slot's part of the logits.
std::vector<at::Tensor> by_slot(const at::Tensor& logits, const ProbeData& data) {
  return logits.split_with_sizes(data.classes, 1);
}

// Cross-entropy, summed over slots.
at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& classes, const ProbeData& data) {
  std::vector<at::Tensor> losses;
  for (const at::Tensor& slot : by_slot(logits, data))
    losses.push_back(at::cross_entropy_loss(slot, classes.select(1, static_cast<int64_t>(losses.size()))));
  return at::stack(losses).sum();
}

// Rows of each update, in an order drawn per round by LibTorch's generator; what is left of a round is a
// smaller batch. Nothing where a batch is the whole split.
class RowBatches {
 public:
  RowBatches(int64_t rows, int64_t batch) : rows_(rows), batch_(batch) {}

  at::Tensor next() {
    if (batch_ == 0 || batch_ >= rows_) return {};
    if (begin_ >= rows_) {
      order_ = at::randperm(rows_, at::kLong);
      begin_ = 0;
    }
    const at::Tensor batch = order_.narrow(0, begin_, std::min(batch_, rows_ - begin_));
    begin_ += batch_;
    return batch;
  }

 private:
  int64_t rows_, batch_;
  int64_t begin_ = rows_;
  at::Tensor order_;
};

// Rows in which all slots are right.
int64_t correct(const at::Tensor& logits, const at::Tensor& classes, const ProbeData& data) {
  std::vector<at::Tensor> found;
  for (const at::Tensor& slot : by_slot(logits, data)) found.push_back(slot.argmax(1));
  return at::stack(found, 1).eq(classes).all(1).sum().item<int64_t>();
}

}  // namespace

ProbeScore train_probe_by_torch(const ProbeData& data, const ProbeTraining& training) {
  at::set_num_threads(training.threads > 0 ? training.threads : available_threads());
  torch::manual_seed(mix_seed({training.seed, 21}));
  const at::Tensor raw = features_of(data.train, data);
  const at::Tensor mean = raw.mean(0, true);
  const at::Tensor deviation = raw.std(0, false, true).clamp_min(least_deviation);
  const auto standardised = [&](const ProbeSplit& split) {
    return (features_of(split, data) - mean) / deviation;
  };
  const at::Tensor train = standardised(data.train), dev = standardised(data.dev),
                   test = standardised(data.test);
  const at::Tensor train_classes = classes_of(data.train, data), dev_classes = classes_of(data.dev, data),
                   test_classes = classes_of(data.test, data);

  ProbeModule probe(data, training.hidden_layer);
  const OptimiserRule& rule = training.optimiser;
  const std::unique_ptr<torch::optim::Optimizer> optimiser =
      make_optimiser(probe.parameters(), rule, training.lr);
  RowBatches batches(data.train.rows, rule.batch);
  ProbeScore best{-1, 0, 0, {}};
  for (int64_t step = 1; step <= rule.steps; ++step) {
    throw_if_stopped();
    optimiser->zero_grad();
    const at::Tensor rows = batches.next();
    const at::Tensor loss = rows.defined() ? loss_of(probe.forward(train.index_select(0, rows)),
                                                     train_classes.index_select(0, rows), data)
                                           : loss_of(probe.forward(train), train_classes, data);
    loss.backward();
    if (rule.clip > 0) torch::nn::utils::clip_grad_norm_(probe.parameters(), rule.clip);
    optimiser->step();
    if (step % rule.dev_every != 0 && step != rule.steps) continue;
    const torch::NoGradGuard no_grad;
    const at::Tensor dev_logits = probe.forward(dev);
    const int64_t dev_correct = correct(dev_logits, dev_classes, data);
    const auto dev_loss = loss_of(dev_logits, dev_classes, data).item<double>();
    if (std::tuple(-dev_correct, dev_loss) >= std::tuple(-best.dev_correct, best.dev_loss)) continue;
    best.dev_correct = dev_correct;
    best.dev_loss = dev_loss;
    best.test_correct = correct(probe.forward(test), test_classes, data);
    const at::Tensor weights = probe.mix.detach().softmax(0).to(at::kDouble);
    best.layer_weights.assign(weights.const_data_ptr<double>(),
                              weights.const_data_ptr<double>() + data.layers);
  }
  return best;
}

}  // namespace retort
