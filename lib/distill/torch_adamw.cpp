#include "distill/torch_adamw.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/_fused_adamw.h>

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
  for (const auto& parameter : module.named_parameters()) {
    at::Tensor tensor = parameter.value();
    // A gradient that is always there: a block that LayerDrop skipped counts with gradient zero.
    tensor.mutable_grad() = at::zeros_like(tensor);
    names_.push_back(parameter.key());
    parameters_.push_back(tensor);
    gradients_.push_back(tensor.mutable_grad());
    first_moments_.push_back(at::zeros_like(tensor));
    second_moments_.push_back(at::zeros_like(tensor));
    updates_.push_back(at::zeros({}, tensor.options().requires_grad(false)));
  }
}

void AdamW::zero_gradients() {
  at::_foreach_zero_(gradients_);
}

double AdamW::step(double lr, double examples) {
  at::NoGradGuard no_grad;
  const double norm = at::stack(at::_foreach_norm(gradients_)).norm().item<double>() / examples;
  const double clip = options_.clip_norm > 0 && norm > options_.clip_norm ? options_.clip_norm / norm : 1.0;
  at::_foreach_mul_(gradients_, clip / examples);
  // The fused kernel counts this update when it corrects the moments' bias.
  for (at::Tensor& count : updates_) count.add_(1);
  at::_fused_adamw_(parameters_, gradients_, first_moments_, second_moments_, {}, updates_, lr,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
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
  for (std::size_t i = 0; i < names_.size(); ++i) {
    add("parameter." + names_[i], parameters_[i]);
    add("first_moment." + names_[i], first_moments_[i]);
    add("second_moment." + names_[i], second_moments_[i]);
  }
  write_safetensors(path, std::move(tensors));
}

void AdamW::load(const std::filesystem::path& path, int64_t updates) {
  at::NoGradGuard no_grad;
  const SafetensorsFile file(path);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    copy_in(file, "parameter." + names_[i], parameters_[i]);
    copy_in(file, "first_moment." + names_[i], first_moments_[i]);
    copy_in(file, "second_moment." + names_[i], second_moments_[i]);
    updates_[i].fill_(updates);
  }
}

}  // namespace retort
