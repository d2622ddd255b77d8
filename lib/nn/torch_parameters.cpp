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

at::Tensor register_at(torch::nn::Module& root, const TensorSpec& spec) {
  const std::string& path = spec.name;
  torch::nn::Module* owner = &root;
  size_t begin = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    owner = &submodule(*owner, path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  const at::Tensor tensor = torch::empty(spec.shape);
  return spec.trained ? owner->register_parameter(path.substr(begin), tensor)
                      : owner->register_buffer(path.substr(begin), tensor);
}

int64_t fan_in(const at::Tensor& weight) {
  return weight.numel() / weight.size(0);
}

// torch.nn's own start for linear and conv layers, of the weight and of the bias that goes with it, and for
// LSTMs, whose inputs count as many as their units.
void draw_default(at::Tensor tensor, int64_t inputs) {
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  tensor.uniform_(-bound, bound);
}

// The bias of a layer starts within the bounds of its weight.
at::Tensor weight_of(const std::string& bias, const ParameterTable& parameters) {
  return parameters[bias.substr(0, bias.size() - 4) + "weight"];
}

void initialise_positional(const TensorSpec& spec, at::Tensor tensor, const ParameterTable& parameters,
                           const ModelConfig& config) {
  const bool is_bias = spec.name.ends_with(".bias");
  if (spec.name.ends_with("running_mean")) {
    tensor.zero_();
  } else if (spec.name.ends_with("running_var")) {
    tensor.fill_(1);
  } else if (config.positional == PositionalForm::stacked) {
    draw_default(tensor, fan_in(is_bias ? weight_of(spec.name, parameters) : tensor));
  } else if (is_bias) {
    tensor.zero_();
  } else if (!spec.name.ends_with("weight_g")) {  // which gets its value with weight_v
    tensor.normal_(0, std::sqrt(4.0 / (config.pos_kernel * config.hidden)));
    if (config.positional == PositionalForm::weight_norm)
      parameters["encoder.pos_conv_embed.conv.weight_g"].copy_(
          at::linalg_vector_norm(tensor, 2, at::IntArrayRef{0, 1}, true));
  }
}

void initialise_encoder(const TensorSpec& spec, at::Tensor tensor, const ParameterTable& parameters,
                        const ModelConfig& config) {
  const bool is_bias = spec.name.ends_with(".bias");
  if (config.blocks == BlockKind::lstm) {
    draw_default(tensor, config.lstm_hidden);
  } else if (spec.name.starts_with("encoder.time_reduction")) {
    draw_default(tensor, fan_in(is_bias ? weight_of(spec.name, parameters) : tensor));
  } else if (spec.name.ends_with("gru_rel_pos_const")) {
    tensor.fill_(1);
  } else if (spec.name.ends_with("rel_attn_embed.weight")) {
    torch::nn::init::xavier_normal_(tensor);
  } else if (is_bias) {
    tensor.zero_();
  } else {
    tensor.normal_(0, 0.02);
  }
}

void initialise_head(const TensorSpec& spec, at::Tensor tensor, const ModelConfig& config) {
  if (spec.name == "label_embeddings") {
    tensor.uniform_();
  } else if (spec.name.starts_with("heads.split")) {
    draw_default(tensor, config.prediction.inner);
  } else if (spec.name.find(".upsampler.") != std::string::npos) {
    draw_default(tensor, config.hidden * config.time_reduction);
  } else {
    draw_default(tensor, config.hidden);
  }
}

void initialise(const TensorSpec& spec, at::Tensor tensor, const ParameterTable& parameters,
                const ModelConfig& config) {
  const bool is_bias = spec.name.ends_with(".bias");
  const bool is_norm = spec.trained && spec.name.find("_norm.") != std::string::npos;
  if (is_norm) {
    tensor.fill_(is_bias ? 0 : 1);
    return;
  }
  switch (spec.role) {
    case TensorRole::conv:
      if (is_bias) {
        draw_default(tensor, fan_in(weight_of(spec.name, parameters)));
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
      initialise_positional(spec, tensor, parameters, config);
      return;
    case TensorRole::encoder:
      initialise_encoder(spec, tensor, parameters, config);
      return;
    case TensorRole::head:
      initialise_head(spec, tensor, config);
      return;
  }
}

}  // namespace

ParameterTable::ParameterTable(torch::nn::Module& root, const ModelConfig& config) {
  for (const TensorSpec& spec : model_tensors(config)) all_[spec.name] = register_at(root, spec);
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
