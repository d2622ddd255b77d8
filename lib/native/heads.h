// Outputs that learned to be a teacher's layers.
#pragma once

#include <vector>

#include "model/config.h"
#include "native/packing.h"

namespace retort {

class PredictionHeadOutputs {
 public:
  PredictionHeadOutputs(const ModelConfig& config, WeightTable& weights, Precision precision);

  // Head `index` (of config.prediction.layers) for some rows of the block that it is taken from: (rows *
  // frames_per_row(), prediction.dim).
  void apply(const Compute& compute, std::size_t index, const RowSpan& x, const RowSpan& out) const;
  int64_t frames_per_row() const { return frames_per_row_; }

 private:
  struct Head {
    Linear first;   // split: to the inner values, GELU follows; upsampled: to the frames of a row
    Linear second;  // empty for none
  };

  int64_t frames_per_row_ = 1;
  bool split_ = false;
  std::vector<Head> heads_;
};

}  // namespace retort
