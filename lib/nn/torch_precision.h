// Mixed precision: what is computed in bf16 where a run asks for it, and what is in full precision wherever
// it stands: norms, softmax, heads of classes, losses.
#pragma once

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

namespace retort {

// f64 stays, all else becomes f32.
inline at::Tensor in_full_precision(const at::Tensor& values) {
  return values.scalar_type() == at::kDouble ? values : values.to(at::kFloat);
}

// What a norm with this weight takes. Where the model was rounded to bf16 its values stay so: the operator
// itself has statistics in f32.
inline at::Tensor to_be_normed(const at::Tensor& values, const at::Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 ? values.to(at::kBFloat16) : in_full_precision(values);
}

// What a product with this weight takes: bf16 where the model was rounded to it. Else autocast, or nobody,
// has something to do.
inline at::Tensor to_be_multiplied(const at::Tensor& values, const at::Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 ? values.to(at::kBFloat16) : values;
}

// Inside, products (linear layers, convolutions, attention) compute in bf16 from f32 parameters, of which a
// copy is kept until the end; what calls in_full_precision does not. backward() belongs outside.
class Autocast {
 public:
  Autocast(const at::Device& device, bool to_bf16) : device_(device.type()), enabled_(to_bf16) {
    if (!enabled_) return;
    at::autocast::increment_nesting();
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
    at::autocast::set_autocast_enabled(device_, true);
  }
  ~Autocast() {
    if (!enabled_) return;
    at::autocast::set_autocast_enabled(device_, false);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
};

// Inside, operators compute in the type of their inputs: autocast would take products of f32 back to bf16.
class WithoutAutocast {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

}  // namespace retort
