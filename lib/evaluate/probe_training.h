// Training of a probe on pooled features; the interface is free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluate/protocol.h"

namespace retort {

// Pooled features of one split.
struct ProbeSplit {
  int64_t rows = 0;
  std::vector<float> features;   // (rows, layers, dim)
  std::vector<int64_t> classes;  // (rows, slots)
};

struct ProbeData {
  int64_t layers = 0;
  int64_t dim = 0;
  std::vector<int64_t> classes;  // by slot; a row is right where all its slots are
  ProbeSplit train, dev, test;
};

struct ProbeTraining {
  bool hidden_layer = false;
  OptimiserRule optimiser;
  double lr = 1e-2;
  uint64_t seed = 0;
  int threads = 0;
};

struct ProbeScore {
  int64_t dev_correct = 0;   // at the best look at dev: most right, then least cross-entropy
  double dev_loss = 0;       // then
  int64_t test_correct = 0;  // then
  std::vector<double> layer_weights;
};

// Where this program cannot train: becomes one that can (evaluate/trainers.h). An Error where there is none.
void require_probe_training();

// Features of each layer and dimension are standardised by the training split. Batches go through the split
// in an order drawn per round.
ProbeScore train_probe(const ProbeData& data, const ProbeTraining& training);

}  // namespace retort
