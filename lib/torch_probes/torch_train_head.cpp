#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/threads.h"
#include "torch_probes/torch_head.h"
#include "torch_probes/torch_trainers.h"

namespace retort {
namespace {

std::shared_ptr<Head> make_head(const HeadShape& shape, int64_t dim) {
  if (shape.kind == "ctc") return make_ctc_head(shape, dim);
  if (shape.kind == "xvector") return make_xvector_head(shape, dim);
  if (shape.kind == "turns") return make_turns_head(shape, dim);
  fail("a head of kind {} is not known", shape.kind);
}

// The head behind its mix of layers.
struct MixedHead : torch::nn::Module {
  MixedHead(const HeadData& data, const HeadShape& shape) : layers(data.layers), dim(data.dim) {
    mix = register_parameter("mix", torch::zeros({data.layers}));
    head = register_module("head", make_head(shape, data.dim));
  }

  // (frames, dim) of one utterance.
  at::Tensor mixed(const HeadItem& item) const {
    const at::Tensor features =
        at::from_blob(const_cast<float*>(item.features), {layers, item.frames * dim}, at::kFloat);
    const at::Tensor sum = layers == 1 ? features[0] : at::matmul(mix.softmax(0), features);
    return sum.view({item.frames, dim});
  }

  HeadBatch batch_of(const std::vector<const HeadItem*>& items) const {
    std::vector<at::Tensor> features;
    std::vector<int64_t> frames;
    for (const HeadItem* item : items) {
      features.push_back(mixed(*item));
      frames.push_back(item->frames);
    }
    return {items, torch::nn::utils::rnn::pad_sequence(features, /*batch_first=*/true),
            torch::tensor(frames, torch::kLong)};
  }

  int64_t layers, dim;
  at::Tensor mix;
  std::shared_ptr<Head> head;
};

// SpecAugment's masks, drawn anew for each utterance.
void mask(at::Tensor& features, const HeadBatch& batch, const HeadShape& shape, Random& random) {
  const auto strip = [&](int64_t dimension, int64_t row, int64_t extent, int64_t widest) {
    const auto width =
        static_cast<int64_t>(random.below(static_cast<uint64_t>(std::min(widest, extent)) + 1));
    const auto begin = static_cast<int64_t>(random.below(static_cast<uint64_t>(extent - width) + 1));
    features.select(0, row).narrow(dimension, begin, width).zero_();
  };
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    for (int64_t n = 0; n < shape.time_masks; ++n) strip(0, row, batch.items[i]->frames, shape.time_width);
    for (int64_t n = 0; n < shape.value_masks; ++n) strip(1, row, features.size(2), shape.value_width);
  }
}

// Batches of utterances of similar length, each utterance once per round, in an order drawn per round. What
// is left of a round is a smaller batch.
class Batches {
 public:
  Batches(const std::vector<HeadItem>& items, std::size_t batch, uint64_t seed)
      : items_(items), batch_(batch), random_(seed) {}

  std::vector<const HeadItem*> next() {
    if (round_.empty()) draw_round();
    std::vector<const HeadItem*> batch = std::move(round_.back());
    round_.pop_back();
    return batch;
  }
  Random& random() { return random_; }

 private:
  void draw_round() {
    std::vector<const HeadItem*> order;
    for (const HeadItem& item : items_) order.push_back(&item);
    random_.shuffle(order);
    for (std::size_t begin = 0; begin < order.size(); begin += batches_sorted * batch_) {
      const auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = order.begin() +
                        static_cast<std::ptrdiff_t>(std::min(begin + batches_sorted * batch_, order.size()));
      std::stable_sort(first, last, [](const auto* a, const auto* b) { return a->frames < b->frames; });
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i % batch_ == 0) round_.emplace_back();
      round_.back().push_back(order[i]);
    }
    random_.shuffle(round_);
  }

  static constexpr std::size_t batches_sorted = 8;  // by length together, so that little is padding

  const std::vector<HeadItem>& items_;
  std::size_t batch_;
  Random random_;
  std::vector<std::vector<const HeadItem*>> round_;
};

std::vector<Matrix> outputs_of(MixedHead& probe, const std::vector<HeadItem>& items, std::size_t batch) {
  const torch::NoGradGuard no_grad;
  probe.eval();
  std::vector<Matrix> outputs;
  for (std::size_t begin = 0; begin < items.size(); begin += batch) {
    std::vector<const HeadItem*> chosen;
    for (std::size_t i = begin; i < std::min(begin + batch, items.size()); ++i) chosen.push_back(&items[i]);
    const at::Tensor all = probe.head->forward(probe.batch_of(chosen)).contiguous();
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      Matrix matrix(probe.head->rows_of(*chosen[i]), all.size(2));
      const at::Tensor rows = all[static_cast<int64_t>(i)].narrow(0, 0, matrix.rows());
      std::copy_n(rows.const_data_ptr<float>(), rows.numel(), matrix.data());
      outputs.push_back(std::move(matrix));
    }
  }
  probe.train();
  return outputs;
}

std::vector<at::Tensor> copies_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.detach().clone());
  return copies;
}

void restore(MixedHead& probe, const std::vector<at::Tensor>& values) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters = probe.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(values[i]);
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimiser(const std::vector<at::Tensor>& parameters,
                                                        const OptimiserRule& rule, double lr) {
  if (rule.name == "adamw")
    return std::make_unique<torch::optim::AdamW>(parameters, torch::optim::AdamWOptions(lr));
  return std::make_unique<torch::optim::Adam>(parameters, torch::optim::AdamOptions(lr));
}

TrainedHead train_head_by_torch(const HeadData& data, const HeadShape& shape, const HeadTraining& training,
                                const DevCost& dev_cost) {
  at::set_num_threads(training.threads > 0 ? training.threads : available_threads());
  torch::manual_seed(mix_seed({training.seed, 22}));
  const auto batch_size = static_cast<std::size_t>(training.optimiser.batch);
  Batches batches(data.train, batch_size, mix_seed({training.seed, 23}));
  MixedHead probe(data, shape);
  const std::unique_ptr<torch::optim::Optimizer> optimiser =
      make_optimiser(probe.parameters(), training.optimiser, training.lr);
  TrainedHead best;
  std::vector<at::Tensor> best_values;
  for (int64_t step = 1; step <= training.optimiser.steps; ++step) {
    throw_if_stopped();
    HeadBatch batch = probe.batch_of(batches.next());
    if (shape.time_masks + shape.value_masks > 0) {
      batch.features = batch.features.clone();
      mask(batch.features, batch, shape, batches.random());
    }
    optimiser->zero_grad();
    const at::Tensor loss = probe.head->loss(probe.head->forward(batch), batch);
    if (!std::isfinite(loss.item<double>()))
      fail("the loss is not finite at step {} with a learning rate of {}", step, training.lr);
    loss.backward();
    if (training.optimiser.clip > 0)
      torch::nn::utils::clip_grad_norm_(probe.parameters(), training.optimiser.clip);
    optimiser->step();
    if (step % training.optimiser.dev_every != 0 && step != training.optimiser.steps) continue;
    const double cost = dev_cost(outputs_of(probe, data.dev, batch_size));
    if (!best_values.empty() && cost >= best.dev_cost) continue;
    best.dev_cost = cost;
    best.step = step;
    best_values = copies_of(probe.parameters());
  }
  restore(probe, best_values);
  best.test_outputs = outputs_of(probe, data.test, batch_size);
  const at::Tensor weights = probe.mix.detach().softmax(0).to(at::kDouble);
  best.layer_weights.assign(weights.const_data_ptr<double>(), weights.const_data_ptr<double>() + data.layers);
  return best;
}

}  // namespace retort
