// The one list of a model's tensors, derived from its config; loading, saving, counting and hashing all read
// it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"

namespace retort {

enum class TensorRole { conv, projection, mask, positional, encoder, head };

struct TensorSpec {
  std::string
      name;  // Hugging Face's, with weight_g/weight_v for the positional convolution; LSTMs: PyTorch's
  std::vector<int64_t> shape;
  TensorRole role = TensorRole::encoder;
  bool trained = true;  // false: statistics that training gathers, no parameter

  int64_t count() const;
};

// "(3,4)".
std::string shape_text(const std::vector<int64_t>& shape);

// In the order of computation.
std::vector<TensorSpec> model_tensors(const ModelConfig& config);

// Parameters by role, and their total without heads (what papers call the model's size).
struct ParameterCount {
  std::map<std::string, int64_t> by_role;
  int64_t backbone = 0;  // all but heads
  int64_t total = 0;
};
ParameterCount count_parameters(const ModelConfig& config);

// Multiply-accumulates for a waveform of `samples` samples, by component.
struct MacCount {
  std::map<std::string, int64_t> by_component;
  int64_t total = 0;

  void add(const std::string& component, int64_t count);
};
MacCount count_macs(const ModelConfig& config, int64_t samples);

}  // namespace retort
