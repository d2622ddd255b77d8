// Tensors that are computed from parameters and kept until those change.
#pragma once

#include <ATen/ATen.h>

#include <initializer_list>
#include <utility>
#include <vector>

namespace retort {

class DerivedTensor {
 public:
  // compute(), or its last result where none of the sources was written to or moved since. For use without
  // gradient.
  template <class Compute>
  const at::Tensor& get(std::initializer_list<at::Tensor> sources, const Compute& compute) {
    std::vector<std::pair<const void*, int64_t>> state;
    for (const at::Tensor& source : sources) {
      state.emplace_back(source.const_data_ptr(), static_cast<int64_t>(source._version()));
    }
    if (state != state_) {
      value_ = compute();
      state_ = std::move(state);
    }
    return value_;
  }

 private:
  at::Tensor value_;
  std::vector<std::pair<const void*, int64_t>>
      state_;  // where each source lies, and LibTorch's count of its changes
};

}  // namespace retort
