// Values on their way to a device and back while it computes.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <optional>
#include <vector>

namespace retort {

// On a GPU host memory is pinned, and copies are asked for and made later: inputs beside the kernels that run
// meanwhile, outputs behind the kernels that make them. LibTorch's allocators keep memory from being used
// anew before its copy is made, so that a caller who holds two batches has one copied while one is computed.
// On the CPU nothing is copied.
class DeviceLink {
 public:
  explicit DeviceLink(const at::Device& device);

  // Memory of the host to fill for send().
  at::Tensor host_memory(at::IntArrayRef sizes, at::ScalarType type) const;

  // The same values on the device. Kernels that are called from now on see them.
  at::Tensor send(const at::Tensor& on_host) const;

  // Values of the device on the host, once wait() has returned.
  class Arrival {
   public:
    // Returns them in the order asked for.
    const std::vector<at::Tensor>& wait() const;

   private:
    friend class DeviceLink;
    std::vector<at::Tensor> values_;
    std::optional<c10::Event> arrived_;
  };
  Arrival fetch(const std::vector<at::Tensor>& on_device) const;

 private:
  c10::Stream kernels() const;

  at::Device device_;
  std::optional<c10::Stream> copies_;  // of a GPU
};

}  // namespace retort
