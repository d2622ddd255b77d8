// The HuBERT network as a LibTorch module: conv stack, projection, positional convolution, transformer, label
// head. Parameters carry the names of model/tensors.h, so state moves to and from ModelWeights without a
// table.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/model_folder.h"
#include "model/normalise.h"

namespace retort {

struct HubertForwardOptions {
  // (batch, frames) bool: frames whose projected features are replaced by the mask embedding. Undefined:
  // none.
  at::Tensor time_mask;
  // Blocks to run: stop after this many (0: none, only what precedes them); -1: all.
  int last_block = -1;
  // Scales the gradient that reaches the conv stack (fairseq's feature_grad_mult); <= 0 runs it without
  // gradient.
  double feature_grad_mult = 1.0;
  // Also return the mean square of the conv stack's output over valid frames, as a scalar (fairseq's
  // features_pen).
  bool feature_penalty = false;
};

struct HubertStates {
  at::Tensor conv;  // (batch, frames, conv channels), before any norm of the projection
                    // (frames after an utterance's end hold finite values without meaning, everywhere)
  at::Tensor proj;  // (batch, frames, hidden), after the projection, before masking
  std::vector<at::Tensor> enc;  // enc[0]: input of the first block; enc[i]: output of block i
  at::Tensor final;             // after the last norm; undefined where last_block stopped earlier
  std::vector<int64_t> frames;  // valid frames of each utterance
  at::Tensor feature_penalty;   // undefined unless asked for
};

class HubertModelImpl : public torch::nn::Module {
 public:
  // Freshly initialised as fairseq initialises HuBERT, from LibTorch's default random generator.
  explicit HubertModelImpl(const ModelConfig& config);
  // With these weights.
  explicit HubertModelImpl(const ModelWeights& weights);
  ~HubertModelImpl() override;

  // waveforms: (batch, samples) f32, already normalised as the model wants, zeros after each utterance's end.
  // lengths: valid samples of each. An utterance's valid frames are what it gives alone (exact batching):
  // statistics and attention see valid frames only. Dropout and LayerDrop act in training mode.
  HubertStates forward(const at::Tensor& waveforms, const std::vector<int64_t>& lengths,
                       const HubertForwardOptions& options = {});

  // Cosine logits of hidden states (..., hidden) against the label embeddings, over temperature 0.1: (...,
  // classes).
  at::Tensor label_logits(const at::Tensor& states);

  const ModelConfig& config() const { return config_; }

  // Copies weights in; names and shapes were checked by read_model.
  void load(const ModelWeights& weights);
  // Copies weights out, on the CPU in f32.
  ModelWeights weights() const;

 private:
  struct Network;

  ModelConfig config_;
  std::unique_ptr<Network> network_;
};
TORCH_MODULE(HubertModel);

// Zero-padded (batch, max samples) f32 tensor.
at::Tensor pad_waveforms(const std::vector<std::vector<float>>& waveforms);

}  // namespace retort
