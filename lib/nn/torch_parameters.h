// Parameters made from the model's list of tensors, and found again by their names in it.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "model/config.h"
#include "model/weights.h"

namespace retort {

// Handles to a module's parameters by the names of model/tensors.h. They stay valid when the module moves to
// another device, since LibTorch then exchanges the data behind them.
class ParameterTable {
 public:
  // Registers every tensor of the list under `root`, one submodule per dot in its name, statistics as
  // buffers; values are not set.
  ParameterTable(torch::nn::Module& root, const ModelConfig& config);

  // The parameter of this name; undefined where this model has none of it.
  at::Tensor operator[](const std::string& name) const;
  const std::map<std::string, at::Tensor>& all() const { return all_; }

 private:
  std::map<std::string, at::Tensor> all_;
};

// fairseq's initial values for HuBERT (ConvFeatureExtractionModel, make_conv_pos, init_bert_params and the
// defaults of torch.nn where it sets nothing, as for LSTMs), drawn in the order of the list.
void initialise_parameters(const ParameterTable& parameters, const ModelConfig& config);

void copy_into_parameters(const ModelWeights& weights, const ParameterTable& parameters);

}  // namespace retort
