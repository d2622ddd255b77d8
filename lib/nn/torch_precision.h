// What is computed in full precision wherever it stands: softmax, norms of heads, losses.
#pragma once

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

namespace retort {

// f64 stays, all else becomes f32.
inline at::Tensor in_full_precision(const at::Tensor& values) {
  return values.scalar_type() == at::kDouble ? values : values.to(at::kFloat);
}

// Inside, operators compute in the type of their inputs: autocast would take products of f32 back to bf16.
class WithoutAutocast {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

}  // namespace retort
