#include <torch/torch.h>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "base/error.h"
#include "base/log.h"
#include "nn/torch_device.h"
#include "processes/processes.h"
#include "torch_processes/use_torch_processes.h"

// c10d's headers of its backends hide behind these names.
#ifdef RETORT_WITH_GLOO
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef RETORT_WITH_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace retort {
namespace {

// How long a process waits for the others, which may be at a checkpoint or behind with their start.
constexpr std::chrono::minutes patience{10};

// LibTorch appends a backtrace to what went wrong.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return one_line(text.substr(0, text.find('\n')));
}

class C10dLink : public ProcessLink {
 public:
  C10dLink(const ProcessEnvironment& environment, const at::Device& device)
      : environment_(environment), device_(device) {
    try {
      group_ = join(meeting_place());
    } catch (const std::exception& error) {
      fail(
          "process {} of {} did not meet the others at {}:{} ({}); see whether all were started and that no "
          "other run has this port",
          environment.rank, environment.count, environment.address, environment.port, first_line(error));
    }
  }

  void sum(const at::Tensor& tensor) override {
    std::vector<at::Tensor> tensors{tensor.to(device_)};
    try {
      group_->allreduce(tensors)->wait();
    } catch (const std::exception& error) {
      fail(
          "process {} of {} lost another one, whose own message says why, or waited {} minutes for it ({}); "
          "the same command again does what is left",
          environment_.rank, environment_.count, patience.count(), first_line(error));
    }
    if (!tensors.front().is_same(tensor)) tensor.copy_(tensors.front());
  }

  void sum(std::vector<double>& values) override {
    if (values.empty()) return;
    sum(at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble));
  }

 private:
  c10::intrusive_ptr<c10d::Store> meeting_place() const {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(environment_.port);
    options.isServer = environment_.rank == 0 && !environment_.launcher_listens;
    options.numWorkers = static_cast<std::size_t>(environment_.count);
    options.timeout = patience;
    const auto store = c10::make_intrusive<c10d::TCPStore>(environment_.address, options);
    return c10::make_intrusive<c10d::PrefixStore>(fmt::format("attempt {}", environment_.attempt), store);
  }

  c10::intrusive_ptr<c10d::Backend> join(
      [[maybe_unused]] const c10::intrusive_ptr<c10d::Store>& store) const {
#ifdef RETORT_WITH_NCCL
    if (device_.is_cuda()) {
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = patience;
      return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, environment_.rank, environment_.count,
                                                         options);
    }
#endif
#ifdef RETORT_WITH_GLOO
    return c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, environment_.rank, environment_.count,
        c10d::ProcessGroupGloo::Options::create_default(patience));
#else
    return nullptr;  // which device_of_sums() has refused
#endif
  }

  ProcessEnvironment environment_;
  at::Device device_;  // where the backend takes its tensors
  c10::intrusive_ptr<c10d::Backend> group_;
};

// Where this build's backend for `device` takes its tensors.
at::Device device_of_sums(const ProcessEnvironment& environment, const std::string& device) {
#ifdef RETORT_WITH_NCCL
  if (device != "cpu") {
    const at::Device gpu = parse_device(device, environment.local_rank);
    c10::cuda::set_device(gpu.index());
    return gpu;
  }
#endif
#ifndef RETORT_WITH_GLOO
  fail("{} processes on {}: this build lacks Gloo's headers; install libgloo-dev and build again",
       environment.count, device);
#endif
  if (device != "cpu" && environment.rank == 0)
    log_info("processes", "this build has no NCCL: sums of {} go through the CPU and Gloo", device);
  return at::kCPU;
}

}  // namespace

void use_torch_processes() {
  connect_processes = [](const ProcessEnvironment& environment,
                         const std::string& device) -> std::unique_ptr<ProcessLink> {
    return std::make_unique<C10dLink>(environment, device_of_sums(environment, device));
  };
}

}  // namespace retort
