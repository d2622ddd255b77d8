// HuBERT and its kin (wav2vec 2.0, WavLM, data2vec-audio, DistilHuBERT, FitHuBERT, LSTM students) as a
// LibTorch module: conv stack, projection, positions and transformer or recurrent layers, heads. Parameters
// carry the names of model/tensors.h, so state moves to and from ModelWeights without a table.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "model/config.h"
#include "model/normalise.h"
#include "model/weights.h"
#include "nn/torch_conv_frames.h"

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
  // Also compute the prediction heads; takes all blocks.
  bool prediction_heads = false;
};

struct HubertStates {
  at::Tensor conv;  // (batch, frames, conv channels), before any norm of the projection
                    // (frames after an utterance's end hold finite values without meaning, everywhere)
  at::Tensor proj;  // (batch, frames, block_input), after the projection, before masking
  // enc[0]: input of the first block (batch, frames, block_input); enc[i]: output of block i (batch, frames,
  // hidden). A time reduction leaves fewer frames from here on.
  std::vector<at::Tensor> enc;
  at::Tensor final;  // after the last block and its norm; undefined where last_block stopped earlier
  std::vector<at::Tensor> heads;      // a teacher's layer each; empty unless asked for
  std::vector<int64_t> frames;        // valid frames of each utterance in conv and proj
  std::vector<int64_t> block_frames;  // and in enc and final
  at::Tensor feature_penalty;         // undefined unless asked for
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

  // What forward() computes, without gradient. On a CPU every thread takes whole utterances: no operator has
  // threads to wait for, and less of each lies outside of the caches.
  HubertStates infer(const at::Tensor& waveforms, const std::vector<int64_t>& lengths,
                     const HubertForwardOptions& options = {});

  // What forward() computes from the conv stack's output on, of one utterance: frames (1, frames, conv
  // channels).
  HubertStates forward_frames(const at::Tensor& frames, const HubertForwardOptions& options = {});

  // Runs (1, frames, channels) of the conv stack's output for one long waveform (samples), without gradient;
  // norms over time see all of it.
  ConvFrames conv_frames(const at::Tensor& waveform) const;

  // Logits (..., classes) in f32 of hidden states (..., hidden), by the head that the model has: cosines with
  // the label embeddings over temperature 0.1, or those of a linear layer. An Error where it has none.
  at::Tensor label_logits(const at::Tensor& states);

  // For inference: from now on weights are bf16, and so are outputs. The first convolution, without which
  // quiet frames would lose most of what they are, stays f32; sums, statistics of norms and softmax are f32
  // within their operators.
  void round_to_bf16();

  const ModelConfig& config() const { return config_; }

  // Copies weights in; names and shapes were checked by read_model.
  void load(const ModelWeights& weights);
  // Copies weights out, on the CPU in f32.
  ModelWeights weights() const;

 private:
  struct Network;

  // Everything behind the conv stack, whose output and frame counts `states` holds.
  void encode(HubertStates& states, const HubertForwardOptions& options);
  // What enters the encoder: projected, masked, zero after each utterance's end. padding: (batch, frames)
  // bool, true there; undefined where there is none.
  at::Tensor project(HubertStates& states, const at::Tensor& padding, const at::Tensor& time_mask);
  void run_transformer(HubertStates& states, at::Tensor x, const at::Tensor& padding, int blocks);
  void run_lstm(HubertStates& states, const at::Tensor& x, int blocks);
  at::Tensor normalise(const at::Tensor& x, const std::string& name) const;
  at::Tensor reduce_time(const at::Tensor& x, const at::Tensor& padding) const;

  ModelConfig config_;
  std::unique_ptr<Network> network_;
};
TORCH_MODULE(HubertModel);

// Zero-padded (batch, max samples) f32 tensor.
at::Tensor pad_waveforms(const std::vector<std::vector<float>>& waveforms);

}  // namespace retort
