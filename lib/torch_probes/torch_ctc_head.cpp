// Labels per frame, trained by connectionist temporal classification: linear, or BiLSTM layers first.
#include <iterator>

#include "measures/ctc_decoding.h"
#include "nn/torch_lstm.h"
#include "torch_probes/torch_head.h"

namespace retort {
namespace {

class CtcHead : public Head {
 public:
  CtcHead(const HeadShape& shape, int64_t dim) {
    int64_t width = dim;
    if (shape.projection > 0) {
      projection_ = register_module("projection", torch::nn::Linear(width, shape.projection));
      width = shape.projection;
    }
    if (shape.lstm_layers > 0) {
      lstm_ =
          register_module("lstm", torch::nn::LSTM(torch::nn::LSTMOptions(width, shape.hidden)
                                                      .num_layers(shape.lstm_layers)
                                                      .bidirectional(true)
                                                      .batch_first(true)
                                                      .dropout(shape.lstm_layers > 1 ? shape.dropout : 0)));
      width = 2 * shape.hidden;
    }
    dropout_ = register_module("dropout", torch::nn::Dropout(shape.dropout));
    output_ = register_module("output", torch::nn::Linear(width, shape.outputs));
  }

  at::Tensor forward(const HeadBatch& batch) override {
    at::Tensor x = batch.features;
    if (projection_) x = projection_(x);
    if (lstm_) x = run_lstm(lstm_, x, batch.frames);
    return output_(dropout_(x)).log_softmax(-1);
  }

  at::Tensor loss(const at::Tensor& outputs, const HeadBatch& batch) override {
    std::vector<int64_t> labels, lengths;
    for (const HeadItem* item : batch.items) {
      labels.insert(labels.end(), item->targets.begin(), item->targets.end());
      lengths.push_back(static_cast<int64_t>(item->targets.size()));
    }
    // An utterance with more labels than its frames can hold has no path and a loss of infinity: it counts 0.
    constexpr bool zero_infinity = true;
    return at::ctc_loss(outputs.transpose(0, 1), torch::tensor(labels, torch::kLong), batch.frames,
                        torch::tensor(lengths, torch::kLong), ctc_blank, at::Reduction::Mean, zero_infinity);
  }

 private:
  torch::nn::Linear projection_{nullptr}, output_{nullptr};
  torch::nn::LSTM lstm_{nullptr};
  torch::nn::Dropout dropout_{nullptr};
};

}  // namespace

std::shared_ptr<Head> make_ctc_head(const HeadShape& shape, int64_t dim) {
  return std::make_shared<CtcHead>(shape, dim);
}

at::Tensor run_lstm(const torch::nn::LSTM& lstm, const at::Tensor& features, const at::Tensor& frames) {
  const torch::nn::LSTMOptions& options = lstm->options;
  const at::Tensor turned = turned_frames(frames, features.size(1));
  const std::vector<at::Tensor> weights = lstm->all_weights();
  const std::ptrdiff_t parts = std::ssize(weights) / options.num_layers();
  at::Tensor x = features;
  for (int64_t layer = 0; layer < options.num_layers(); ++layer) {
    if (layer > 0) x = at::dropout(x, options.dropout(), lstm->is_training());
    const auto first = weights.begin() + layer * parts;
    x = lstm_layer(x, {first, first + parts}, turned, lstm->is_training());
  }
  const at::Tensor behind = at::arange(features.size(1)).unsqueeze(0) >= frames.unsqueeze(1);
  return x.masked_fill(behind.unsqueeze(2), 0);
}

}  // namespace retort
