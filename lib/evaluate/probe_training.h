// Training of a probe on pooled features; the interface is free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retort {

// Pooled features of one split.
struct ProbeSplit {
  int64_t rows = 0;
  std::vector<float> features;   // (rows, layers, dim)
  std::vector<int64_t> classes;  // (rows)
};

struct ProbeData {
  int64_t layers = 0;
  int64_t dim = 0;
  int64_t classes = 0;
  ProbeSplit train, dev, test;
};

struct ProbeTraining {
  bool hidden_layer = false;
  double lr = 1e-2;
  int epochs = 100;
  uint64_t seed = 0;
  int threads = 0;
};

struct ProbeScore {
  int64_t dev_correct = 0;   // of the best epoch: most right on dev, then least cross-entropy
  double dev_loss = 0;       // of that epoch
  int64_t test_correct = 0;  // of that epoch
  std::vector<double> layer_weights;
};

// An Error where this build has no LibTorch and thus cannot train.
void require_probe_training();

// Adam on the full training split; features of each layer and dimension are standardised by the training
// split.
ProbeScore train_probe(const ProbeData& data, const ProbeTraining& options);

}  // namespace retort
