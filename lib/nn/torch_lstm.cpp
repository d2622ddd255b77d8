#include "nn/torch_lstm.h"

#include <torch/torch.h>

#include <cstddef>

namespace retort {

at::Tensor turned_frames(const at::Tensor& lengths, int64_t longest) {
  const at::Tensor time = at::arange(longest, lengths.options()).unsqueeze(0), ends = lengths.unsqueeze(1);
  return at::where(time < ends, ends - 1 - time, time).unsqueeze(2);
}

at::Tensor lstm_layer(const at::Tensor& x, const std::vector<at::Tensor>& weights, const at::Tensor& turned,
                      bool training) {
  constexpr std::ptrdiff_t parts = 4;  // of one way
  constexpr bool has_biases = true, batch_first = true;
  constexpr int64_t one_layer = 1;
  constexpr double no_dropout = 0;
  const bool both_ways = weights.size() == 2 * parts;
  if (both_ways && turned.defined()) {
    const auto turn_round = [&](const at::Tensor& y) { return y.gather(1, turned.expand_as(y)); };
    const auto back = weights.begin() + parts;
    const at::Tensor forwards = lstm_layer(x, {weights.begin(), back}, {}, training);
    const at::Tensor backwards = lstm_layer(turn_round(x), {back, weights.end()}, {}, training);
    return at::cat({forwards, turn_round(backwards)}, 2);
  }
  const at::Tensor zero = at::zeros({both_ways ? 2 : 1, x.size(0), weights[1].size(1)}, x.options());
  return std::get<0>(at::lstm(x, {zero, zero}, weights, has_biases, one_layer, no_dropout, training,
                              both_ways, batch_first));
}

LstmLayers::LstmLayers(const ModelConfig& config, const ParameterTable& parameters) : config_(config) {
  if (config.blocks != BlockKind::lstm) return;
  for (int i = 0; i < config.layers; ++i) {
    std::vector<at::Tensor>& weights = weights_.emplace_back();
    for (const char* direction : {"", "_reverse"}) {
      for (const char* part : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
        const at::Tensor tensor = parameters[fmt::format("encoder.lstm.{}.{}{}", i, part, direction)];
        if (tensor.defined()) weights.push_back(tensor);
      }
    }
  }
}

// What follows an utterance's end reaches its frames only on the way back.
std::vector<at::Tensor> LstmLayers::forward(const at::Tensor& x, const FrameLengths& lengths, int count,
                                            bool training) const {
  at::Tensor turned;
  if (config_.bidirectional && !lengths.equal())
    turned = turned_frames(torch::tensor(lengths.valid, torch::kInt64), lengths.longest).to(x.device());
  std::vector<at::Tensor> all;
  for (size_t layer = 0; layer < static_cast<size_t>(count); ++layer) {
    const at::Tensor input = layer > 0 ? at::dropout(all.back(), config_.hidden_dropout, training) : x;
    all.push_back(lstm_layer(input, weights_[layer], turned, training));
  }
  return all;
}

}  // namespace retort
