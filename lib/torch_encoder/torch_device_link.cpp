#include "torch_encoder/torch_device_link.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace retort {
namespace {

constexpr bool non_blocking = true;

}  // namespace

DeviceLink::DeviceLink(const at::Device& device) : device_(device) {
  if (!device.is_cpu()) copies_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

c10::Stream DeviceLink::kernels() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
}

at::Tensor DeviceLink::host_memory(at::IntArrayRef sizes, at::ScalarType type) const {
  return at::empty(sizes, at::TensorOptions(type).pinned_memory(copies_.has_value()));
}

at::Tensor DeviceLink::send(const at::Tensor& on_host) const {
  if (!copies_) return on_host;
  at::Tensor there;
  c10::Event arrived(device_.type());
  {
    const c10::StreamGuard guard(*copies_);
    there = on_host.to(device_, non_blocking);
    arrived.record(*copies_);
  }
  arrived.block(kernels());
  there.record_stream(kernels());  // its memory is of the other stream, which must not take it back before
  return there;
}

DeviceLink::Arrival DeviceLink::fetch(const std::vector<at::Tensor>& on_device) const {
  Arrival arrival;
  if (!copies_) {
    arrival.values_ = on_device;
    return arrival;
  }
  for (const at::Tensor& values : on_device)
    arrival.values_.push_back(host_memory(values.sizes(), values.scalar_type()).copy_(values, non_blocking));
  arrival.arrived_.emplace(device_.type());
  arrival.arrived_->record(kernels());
  return arrival;
}

const std::vector<at::Tensor>& DeviceLink::Arrival::wait() const {
  if (arrived_) arrived_->synchronize();
  return values_;
}

}  // namespace retort
