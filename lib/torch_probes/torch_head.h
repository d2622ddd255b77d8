// What a kind of head computes; torch_train_head.cpp trains any of them.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "evaluate/head_training.h"

namespace retort {

// Utterances side by side: mixed features (batch, longest, dim), zeros after an utterance's end.
struct HeadBatch {
  std::vector<const HeadItem*> items;
  at::Tensor features;
  at::Tensor frames;  // (batch) int64, on the CPU
};

class Head : public torch::nn::Module {
 public:
  // (batch, rows, columns); rows_of() says how many rows are an item's.
  virtual at::Tensor forward(const HeadBatch& batch) = 0;
  // Mean over the batch's utterances, from what forward() gave.
  virtual at::Tensor loss(const at::Tensor& outputs, const HeadBatch& batch) = 0;
  virtual int64_t rows_of(const HeadItem& item) const { return item.frames; }
};

std::shared_ptr<Head> make_ctc_head(const HeadShape& shape, int64_t dim);
std::shared_ptr<Head> make_xvector_head(const HeadShape& shape, int64_t dim);
std::shared_ptr<Head> make_turns_head(const HeadShape& shape, int64_t dim);

std::unique_ptr<torch::optim::Optimizer> make_optimiser(const std::vector<at::Tensor>& parameters,
                                                        const OptimiserRule& rule, double lr);

// An LSTM over each row's own frames: (batch, frames, width) to (batch, frames, ways * hidden), zeros behind
// the ends.
at::Tensor run_lstm(const torch::nn::LSTM& lstm, const at::Tensor& features, const at::Tensor& frames);

}  // namespace retort
