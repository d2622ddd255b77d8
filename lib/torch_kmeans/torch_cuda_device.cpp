// A GPU as k-means uses it: kernels of CUDA, memory and streams of LibTorch.
//
// Streams and events are c10's, which reach CUDA through a registry: nothing of libtorch_cuda is linked, so a
// build with any LibTorch has this file, and says so where there is no GPU.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "base/error.h"
#include "kernels/kmeans_cuda.h"
#include "kmeans/device_passes.h"
#include "nn/torch_device.h"
#include "torch_kmeans/torch_kmeans.h"

namespace retort {
namespace {

void check(kmeans_cuda::Failure failure) {
  if (failure) fail("the GPU failed: {}", failure);
}

class TorchCudaDevice : public KmeansDevice {
 public:
  explicit TorchCudaDevice(const at::Device& device)
      : device_(device),
        guard_(device),
        kernels_(c10::impl::VirtualGuardImpl(device.type()).getStream(device)),
        copies_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)) {
    constexpr int least_capability = 80;
    int64_t free = 0;
    int capability = 0;
    check(kmeans_cuda::use_gpu(device.index()));
    check(kmeans_cuda::describe_gpu(free, capability));
    if (capability < least_capability)
      fail("engine cuda: needs a GPU of compute capability 8.0, this one has {}.{}; use --engine torch",
           capability / 10, capability % 10);
  }

  // What was queued uses memory that goes now.
  ~TorchCudaDevice() override {
    try {
      copies_.synchronize();
      kernels_.synchronize();
    } catch (const c10::Error&) {
      // Whatever failed has been reported by the call that waited for it, or nobody wants to know any more.
    }
  }

  int64_t free_bytes() const override {
    int64_t free = 0;
    int capability = 0;
    check(kmeans_cuda::describe_gpu(free, capability));
    return free;
  }

  char* reserve(int64_t bytes) override {
    try {
      memory_ = at::empty({bytes}, at::TensorOptions(at::kByte).device(device_));
    } catch (const c10::Error&) {
      fail("{} MiB of GPU memory are not to be had; ask for less (--gpu-memory)", bytes >> 20);
    }
    // It may have been somebody else's, who is not done with it.
    c10::Event event(device_.type());
    event.record(kernels_);
    event.block(copies_);
    return static_cast<char*>(memory_.data_ptr());
  }

  void fill(void* to, int byte, int64_t bytes) override {
    check(kmeans_cuda::fill(to, byte, bytes, kernel_stream()));
  }
  void upload(void* to, const void* from, int64_t bytes) override { copy_and_wait(to, from, bytes); }
  void download(void* to, const void* from, int64_t bytes) override { copy_and_wait(to, from, bytes); }

  void* staging(int slot) override {
    at::Tensor& memory = staging_[slot];
    if (!memory.defined())
      memory = at::empty({staging_bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
    sent_[slot].synchronize();
    return memory.data_ptr();
  }
  void send(int slot, void* to, int64_t bytes) override {
    check(kmeans_cuda::copy(to, staging_[slot].data_ptr(), bytes, copies_.native_handle()));
    sent_[slot].record(copies_);
  }
  void wait_for_sent() override {
    for (const c10::Event& event : sent_) event.block(kernels_);
  }
  void release(int buffer) override { released_[buffer].record(kernels_); }
  void wait_for_release(int buffer) override { released_[buffer].block(copies_); }

  void prepare_rows(const kmeans_kernels::PrepareArgs& args) override {
    check(kmeans_cuda::prepare_rows(args, kernel_stream()));
  }
  void score_tiles(const kmeans_kernels::ScoreArgs& args, kmeans_kernels::Scoring scoring) override {
    check(kmeans_cuda::score_tiles(args, scoring, kernel_stream()));
  }
  void settle(const kmeans_kernels::SettleArgs& args) override {
    check(kmeans_cuda::settle(args, kernel_stream()));
  }
  void sort_moves(const kmeans_kernels::MoveArgs& args) override {
    check(kmeans_cuda::sort_moves(args, kernel_stream()));
  }
  void add_moves(const kmeans_kernels::SumArgs& args) override {
    check(kmeans_cuda::add_moves(args, kernel_stream()));
  }
  void round_sums(const kmeans_kernels::RoundArgs& args) override {
    check(kmeans_cuda::round_sums(args, kernel_stream()));
  }

 private:
  kmeans_cuda::Stream kernel_stream() const { return kernels_.native_handle(); }

  void copy_and_wait(void* to, const void* from, int64_t bytes) {
    check(kmeans_cuda::copy(to, from, bytes, kernel_stream()));
    check(kmeans_cuda::wait(kernel_stream()));
  }

  const at::Device device_;
  const c10::DeviceGuard guard_;
  const c10::Stream kernels_;
  const c10::Stream copies_;
  at::Tensor memory_;
  at::Tensor staging_[2];
  c10::Event sent_[2]{c10::Event(c10::DeviceType::CUDA), c10::Event(c10::DeviceType::CUDA)};
  c10::Event released_[2]{c10::Event(c10::DeviceType::CUDA), c10::Event(c10::DeviceType::CUDA)};
};

}  // namespace

std::unique_ptr<PassEngine> make_cuda_passes(const FrameSource& source, const KmeansOptions& options,
                                             int64_t clusters, std::vector<float> reference) {
  auto device = std::make_unique<TorchCudaDevice>(parse_device(options.device));
  return std::make_unique<DevicePasses>(source, options, clusters, std::move(reference), std::move(device));
}

}  // namespace retort
