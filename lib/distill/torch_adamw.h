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
  // All gradients, one after the other; the parameters' own are views of it.
  at::Tensor gradients() const { return gradient_; }
  // Divides gradients by `examples`, clips their norm, and updates with this learning rate. Returns the norm
  // before clipping; where that is not finite, nothing is updated. Decay is decoupled: p -= lr * weight_decay
  // * p (fairseq optim/adam.py).
  double step(double lr, double examples);

  // Parameters and moments in one safetensors file; load() refuses one that does not fit.
  void save(const std::filesystem::path& path) const;
  // `updates` is how many updates the file's state has seen.
  void load(const std::filesystem::path& path, int64_t updates);

 private:
  struct Parameter {
    std::string name;
    at::Tensor value, first_moment, second_moment;
  };
  // Parameters that share a weight decay, as the fused kernel takes them.
  struct Group {
    double weight_decay = 0;
    std::vector<at::Tensor> values, gradients, first_moments, second_moments, updates;
  };
  Group& group_of(const std::string& name);

  OptimizerOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<Group> groups_;
  at::Tensor gradient_;
};

}  // namespace retort
