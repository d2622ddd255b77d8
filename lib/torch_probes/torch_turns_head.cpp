// Who speaks in which frame: an LSTM and a probability per voice, trained with the best order of voices
// (permutation-invariant: Fujita et al. 2019).
#include <algorithm>
#include <numeric>

#include "torch_probes/torch_head.h"

namespace retort {
namespace {

class TurnsHead : public Head {
 public:
  TurnsHead(const HeadShape& shape, int64_t dim) : voices_(shape.outputs) {
    lstm_ = register_module(
        "lstm",
        torch::nn::LSTM(
            torch::nn::LSTMOptions(dim, shape.hidden).num_layers(shape.lstm_layers).batch_first(true)));
    output_ = register_module("output", torch::nn::Linear(shape.hidden, voices_));
  }

  at::Tensor forward(const HeadBatch& batch) override {
    return output_(run_lstm(lstm_, batch.features, batch.frames)).sigmoid();
  }

  at::Tensor loss(const at::Tensor& outputs, const HeadBatch& batch) override {
    std::vector<at::Tensor> losses;
    for (std::size_t i = 0; i < batch.items.size(); ++i) {
      const HeadItem& item = *batch.items[i];
      const at::Tensor found = outputs[static_cast<int64_t>(i)].narrow(0, 0, item.frames);
      const at::Tensor said =
          torch::tensor(item.targets, torch::kLong).view({item.frames, voices_}).to(at::kFloat);
      losses.push_back(best_order_loss(found, said));
    }
    return at::stack(losses).mean();
  }

 private:
  // The least binary cross-entropy over all orders of voices.
  at::Tensor best_order_loss(const at::Tensor& found, const at::Tensor& said) const {
    std::vector<int64_t> order(static_cast<std::size_t>(voices_));
    std::iota(order.begin(), order.end(), 0);
    std::vector<at::Tensor> losses;
    do {
      losses.push_back(
          at::binary_cross_entropy(found, said.index_select(1, torch::tensor(order, torch::kLong))));
    } while (std::next_permutation(order.begin(), order.end()));
    return at::stack(losses).min();
  }

  int64_t voices_;
  torch::nn::LSTM lstm_{nullptr};
  torch::nn::Linear output_{nullptr};
};

}  // namespace

std::shared_ptr<Head> make_turns_head(const HeadShape& shape, int64_t dim) {
  return std::make_shared<TurnsHead>(shape, dim);
}

}  // namespace retort
