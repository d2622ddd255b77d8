// Training of a probe's head on frames; the interface is free of LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "evaluate/probe_training.h"
#include "evaluate/protocol.h"

namespace retort {

// One utterance to learn from or to score.
struct HeadItem {
  const float* features = nullptr;  // (layers, frames, dim)
  int64_t frames = 0;
  // By kind of head: the label sequence (ctc), the class (xvector), (frames, outputs) of 0 and 1 (turns).
  std::vector<int64_t> targets;
};

struct HeadData {
  int64_t layers = 0;
  int64_t dim = 0;
  std::vector<HeadItem> train, dev, test;
};

// The network behind the mix of layers. Numbers that a kind does not name it does not use.
struct HeadShape {
  std::string kind;         // ctc, xvector, turns
  int64_t outputs = 0;      // classes with the blank (ctc), training speakers (xvector), voices (turns)
  int64_t projection = 0;   // width of a linear layer first; 0: none
  int64_t hidden = 0;       // units per direction (ctc, turns); channels (xvector)
  int64_t lstm_layers = 0;  // ctc: 2 ways, 0: none; turns: one way
  int64_t pooled = 0;       // xvector: channels of the last convolution, whose mean and deviation are taken
  int64_t embedding = 0;    // xvector: width of what is compared
  double dropout = 0;       // between and after LSTM layers
  double scale = 30;        // xvector: of cosines in the softmax,
  double margin = 0.4;      // and what is taken from the right one (AM-softmax: Wang et al. 2018)
  // SpecAugment (Park et al. 2019) on the mixed features, without warping: counts and greatest widths.
  int64_t time_masks = 0, time_width = 0, value_masks = 0, value_width = 0;
};

struct HeadTraining {
  OptimiserRule optimiser;
  double lr = 1e-3;
  uint64_t seed = 0;
  int threads = 0;
};

// Cost of the dev split's outputs, the lower the better.
using DevCost = std::function<double(const std::vector<Matrix>& outputs)>;

struct TrainedHead {
  double dev_cost = 0;
  int64_t step = 0;  // of the best dev cost, the first of equals
  std::vector<double> layer_weights;
  // Per test item, from that step: (frames, classes) log probabilities (ctc), (1, embedding) (xvector),
  // (frames, voices) probabilities (turns).
  std::vector<Matrix> test_outputs;
};

// Mixes the layers by a softmax that begins uniform, and trains it and the head. The same seed, threads and
// machine give the same numbers. An Error where a loss is not finite.
TrainedHead train_head(const HeadData& data, const HeadShape& shape, const HeadTraining& training,
                       const DevCost& dev_cost);

}  // namespace retort
