// What tells the blocks where a frame stands: convolutions before the first, relative positions in all.
#pragma once

#include <vector>

#include "model/config.h"
#include "native/packing.h"

namespace retort {

// Wide grouped convolutions over the frames of an utterance (PositionalForm says which).
class PositionalConv {
 public:
  PositionalConv(const ModelConfig& config, WeightTable& weights, Precision precision);

  // x + positions, in `out`; both (rows, hidden).
  void add_to(const Compute& compute, const Packing& packing, const RowSpan& x, const RowSpan& out) const;

 private:
  struct Layer {
    std::vector<Linear> groups;  // of windows of `kernel` rows of a group's channels
  };

  Layer layer(std::vector<float> weight, std::vector<float> bias, Precision precision) const;
  // One utterance's part of a group: activation(convolution + bias) + add.
  void convolve(const Compute& compute, const Layer& layer, std::size_t group, const RowSpan& x,
                const RowSpan& out, const Linear::Then& then) const;
  void run(const Compute& compute, const Layer& layer, const Packing& packing, const RowSpan& x,
           const RowSpan& out, const RowSpan& add, bool gelu) const;
  void run_stacked(const Compute& compute, const Packing& packing, const RowSpan& x,
                   const RowSpan& out) const;

  PositionalForm form_;
  int64_t hidden_, groups_, kernel_;
  std::vector<Layer> layers_;
  std::vector<float> scale_, shift_;  // of the BatchNorm before the convolution; empty for none
};

// WavLM's relative positions: a value per head and bucket of distances, which every block scales by a gate.
class RelativePositions {
 public:
  RelativePositions(const ModelConfig& config, WeightTable& weights);

  bool empty() const { return table_.empty(); }
  // By head, what is added to the logit of a query and the key `distance` frames behind it, at
  // [distance + frames - 1], for all distances from 1 - frames to frames - 1.
  std::vector<std::vector<float>> biases(int64_t frames) const;

 private:
  ModelConfig config_;
  std::vector<float> table_;  // (buckets, heads)
};

}  // namespace retort
