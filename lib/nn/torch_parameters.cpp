#include "nn/torch_parameters.h"

#include <cmath>

#include "base/error.h"
#include "model/tensors.h"

namespace retort {
namespace {

torch::nn::Module& submodule(torch::nn::Module& parent, const std::string& name) {
  const auto children = parent.named_children();
  if (const auto* child = children.find(name)) return **child;
  return *parent.register_module(name, std::make_shared<torch::nn::Module>(name));
}

at::Tensor register_at(torch::nn::Module& root, const std::string& path, const std::vector<int64_t>& shape) {
  torch::nn::Module* owner = &root;
  size_t begin = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    owner = &submodule(*owner, path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  return owner->register_parameter(path.substr(begin), torch::empty(shape));
}

int64_t fan_in(const at::Tensor& weight) {
  return weight.numel() / weight.size(0);
}

// torch.nn's own start for linear and conv layers, of the weight and of the bias that goes with it.
void draw_default(at::Tensor tensor, int64_t inputs) {
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  tensor.uniform_(-bound, bound);
}

void initialise(const TensorSpec& spec, at::Tensor tensor, const ParameterTable& parameters,
                const ModelConfig& config) {
  const bool is_bias = spec.name.ends_with(".bias");
  const bool is_norm = spec.name.find("layer_norm.") != std::string::npos;
  if (is_norm) {
    tensor.fill_(is_bias ? 0 : 1);
    return;
  }
  switch (spec.role) {
    case TensorRole::conv:
      if (is_bias) {
        draw_default(tensor, fan_in(parameters[spec.name.substr(0, spec.name.size() - 4) + "weight"]));
      } else {
        tensor.normal_(0, std::sqrt(2.0 / static_cast<double>(fan_in(tensor))));  // kaiming_normal_
      }
      return;
    case TensorRole::projection:
      draw_default(tensor, config.conv.back().channels);
      return;
    case TensorRole::mask:
      tensor.uniform_();
      return;
    case TensorRole::positional:
      if (is_bias) {
        tensor.zero_();
      } else if (spec.name.ends_with("weight_v")) {
        tensor.normal_(0, std::sqrt(4.0 / (config.pos_kernel * config.hidden)));
        parameters["encoder.pos_conv_embed.conv.weight_g"].copy_(
            at::linalg_vector_norm(tensor, 2, at::IntArrayRef{0, 1}, true));
      }
      return;  // weight_g got its value with weight_v
    case TensorRole::encoder:
      is_bias ? tensor.zero_() : tensor.normal_(0, 0.02);
      return;
    case TensorRole::head:
      if (spec.name == "label_embeddings") {
        tensor.uniform_();
      } else {
        draw_default(tensor, config.hidden);
      }
      return;
  }
}

}  // namespace

ParameterTable::ParameterTable(torch::nn::Module& root, const ModelConfig& config) {
  for (const TensorSpec& spec : model_tensors(config))
    all_[spec.name] = register_at(root, spec.name, spec.shape);
}

at::Tensor ParameterTable::operator[](const std::string& name) const {
  const auto found = all_.find(name);
  return found == all_.end() ? at::Tensor() : found->second;
}

void initialise_parameters(const ParameterTable& parameters, const ModelConfig& config) {
  const torch::NoGradGuard no_grad;
  for (const TensorSpec& spec : model_tensors(config))
    initialise(spec, parameters[spec.name], parameters, config);
}

void copy_into_parameters(const ModelWeights& weights, const ParameterTable& parameters) {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters.all()) {
    const auto source = weights.tensors.find(name);
    if (source == weights.tensors.end()) fail("tensor {} is missing in the weights", name);
    if (parameter.sizes() != at::IntArrayRef(source->second.shape))
      fail("tensor {} has another shape in the weights", name);
    auto* values =
        const_cast<float*>(source->second.values.data());  // from_blob takes no const; it is only read
    at::Tensor target = parameter;
    target.copy_(torch::from_blob(values, source->second.shape));
  }
}

}  // namespace retort
