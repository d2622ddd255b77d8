#include "distill/torch_adamw.h"

#include <ATen/ops/_fused_adamw.h>

#include <cmath>

#include "base/error.h"
#include "store/safetensors.h"

namespace retort {
namespace {

void copy_in(const SafetensorsFile& file, const std::string& name, at::Tensor into) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.shape != into.sizes().vec())
    fail("checkpoint: tensor {} is missing or of another shape; begin anew with --overwrite", name);
  const std::vector<float> values = found->second.to_f32(name);
  into.copy_(at::from_blob(const_cast<float*>(values.data()), into.sizes(), at::kFloat));
}

}  // namespace

AdamW::AdamW(const torch::nn::Module& module, const OptimizerOptions& options) : options_(options) {
  const auto named = module.named_parameters();
  int64_t total = 0;
  for (const auto& parameter : named) total += parameter.value().numel();
  if (total == 0) return;
  gradient_ = at::zeros({total}, named.front().value().options().requires_grad(false));
  int64_t begin = 0;
  for (const auto& parameter : named) {
    at::Tensor value = parameter.value();
    // A gradient that is always there: a block that LayerDrop skipped counts with gradient zero.
    value.mutable_grad() = gradient_.narrow(0, begin, value.numel()).view(value.sizes());
    begin += value.numel();
    parameters_.push_back({parameter.key(), value, at::zeros_like(value), at::zeros_like(value)});
    Group& group = group_of(parameter.key());
    group.values.push_back(value);
    group.gradients.push_back(value.mutable_grad());
    group.first_moments.push_back(parameters_.back().first_moment);
    group.second_moments.push_back(parameters_.back().second_moment);
    group.updates.push_back(at::zeros({}, gradient_.options()));
  }
}

AdamW::Group& AdamW::group_of(const std::string& name) {
  const bool exempt = !options_.decay_biases && name.find("bias") != std::string::npos;
  const double decay = exempt ? 0 : options_.weight_decay;
  for (Group& group : groups_)
    if (group.weight_decay == decay) return group;
  groups_.emplace_back();
  groups_.back().weight_decay = decay;
  return groups_.back();
}

void AdamW::zero_gradients() {
  gradient_.zero_();
}

double AdamW::step(double lr, double examples) {
  at::NoGradGuard no_grad;
  const double norm = gradient_.norm().item<double>() / examples;
  if (!std::isfinite(norm)) return norm;
  const double clip = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
  gradient_.mul_(clip / examples);
  for (Group& group : groups_) {
    // The fused kernel counts this update when it corrects the moments' bias.
    for (at::Tensor& count : group.updates) count.add_(1);
    at::_fused_adamw_(group.values, group.gradients, group.first_moments, group.second_moments, {},
                      group.updates, lr, options_.beta1, options_.beta2, group.weight_decay, options_.eps,
                      /*amsgrad=*/false, /*maximize=*/false);
    // Which it does not: whoever keeps something derived from a parameter would not see the change.
    for (const at::Tensor& value : group.values) torch::autograd::impl::bump_version(value);
  }
  return norm;
}

void AdamW::save(const std::filesystem::path& path) const {
  std::vector<at::Tensor> kept;  // CPU copies live until they are written
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    kept.push_back(tensor.detach().to(at::kCPU).contiguous());
    const at::Tensor& value = kept.back();
    tensors.push_back({name, "F32", value.sizes().vec(), value.data_ptr(), value.nbytes()});
  };
  for (const Parameter& parameter : parameters_) {
    add("parameter." + parameter.name, parameter.value);
    add("first_moment." + parameter.name, parameter.first_moment);
    add("second_moment." + parameter.name, parameter.second_moment);
  }
  write_safetensors(path, std::move(tensors));
}

void AdamW::load(const std::filesystem::path& path, int64_t updates) {
  at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  for (const Parameter& parameter : parameters_) {
    copy_in(file, "parameter." + parameter.name, parameter.value);
    copy_in(file, "first_moment." + parameter.name, parameter.first_moment);
    copy_in(file, "second_moment." + parameter.name, parameter.second_moment);
  }
  for (Group& group : groups_)
    for (at::Tensor& count : group.updates) count.fill_(updates);
}

}  // namespace retort
