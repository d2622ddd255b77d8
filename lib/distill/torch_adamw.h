// AdamW over all parameters of a module at once, with clipping and a state that can be saved.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "distill/recipe.h"

namespace retort {

class AdamW {
 public:
  AdamW(const torch::nn::Module& module, const OptimizerOptions& options);

  void zero_gradients();
  // Divides gradients by `examples`, clips their norm, and updates with this learning rate. Returns the norm
  // before clipping. Decay is decoupled: p -= lr * weight_decay * p on every parameter (fairseq
  // optim/adam.py).
  double step(double lr, double examples);

  // Parameters and moments in one safetensors file; load() refuses one that does not fit.
  void save(const std::filesystem::path& path) const;
  // `updates` is how many updates the file's state has seen.
  void load(const std::filesystem::path& path, int64_t updates);

 private:
  OptimizerOptions options_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> gradients_;
  std::vector<at::Tensor> first_moments_;
  std::vector<at::Tensor> second_moments_;
  std::vector<at::Tensor> updates_;
};

}  // namespace retort
