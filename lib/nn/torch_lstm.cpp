#include "nn/torch_lstm.h"

#include <torch/torch.h>

namespace retort {
namespace {

constexpr bool has_biases = true;
constexpr bool batch_first = true;
constexpr int64_t one_layer = 1;  // per call, since each layer's output is wanted
constexpr double no_dropout = 0;  // within a call of one layer

}  // namespace

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

// What follows an utterance's end reaches its frames only on the way back. There it is left out: the frames
// of all utterances are packed, those of one time next to each other, the longest utterance first.
std::vector<at::Tensor> LstmLayers::forward(const at::Tensor& x, const FrameLengths& lengths, int count,
                                            bool training) const {
  if (!config_.bidirectional || lengths.equal()) return outputs(x, {}, count, training);
  const at::Tensor valid = torch::tensor(lengths.valid, torch::kInt64);
  const at::Tensor order = valid.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto [frames, batch_sizes] = at::_pack_padded_sequence(x.index_select(0, order.to(x.device())),
                                                               valid.index_select(0, order), batch_first);
  std::vector<at::Tensor> all = outputs(frames, batch_sizes, count, training);
  const at::Tensor back = order.argsort().to(x.device());
  for (at::Tensor& y : all) {
    const auto padded = at::_pad_packed_sequence(y, batch_sizes, batch_first, 0.0, lengths.longest);
    y = std::get<0>(padded).index_select(0, back);
  }
  return all;
}

std::vector<at::Tensor> LstmLayers::outputs(at::Tensor x, const at::Tensor& batch_sizes, int count,
                                            bool training) const {
  std::vector<at::Tensor> all;
  for (size_t layer = 0; layer < static_cast<size_t>(count); ++layer) {
    if (layer > 0) x = at::dropout(x, config_.hidden_dropout, training);
    x = layer_output(layer, x, batch_sizes, training);
    all.push_back(x);
  }
  return all;
}

at::Tensor LstmLayers::layer_output(size_t layer, const at::Tensor& x, const at::Tensor& batch_sizes,
                                    bool training) const {
  const std::vector<at::Tensor>& weights = weights_[layer];
  const int64_t utterances = batch_sizes.defined() ? batch_sizes[0].item<int64_t>() : x.size(0);
  const at::Tensor zero =
      at::zeros({config_.bidirectional ? 2 : 1, utterances, config_.lstm_hidden}, x.options());
  const std::vector<at::Tensor> start = {zero, zero};  // state and cell
  const auto output = batch_sizes.defined() ? at::lstm(x, batch_sizes, start, weights, has_biases, one_layer,
                                                       no_dropout, training, config_.bidirectional)
                                            : at::lstm(x, start, weights, has_biases, one_layer, no_dropout,
                                                       training, config_.bidirectional, batch_first);
  return std::get<0>(output);
}

}  // namespace retort
