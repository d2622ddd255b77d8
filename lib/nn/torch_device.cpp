#include "nn/torch_device.h"

#include <torch/torch.h>

#include <regex>

#include "base/error.h"

namespace retort {

at::Device parse_device(const std::string& text, int local_rank) {
  if (text == "cpu") return at::kCPU;
  static const std::regex cuda("cuda(:([0-9]{1,3}))?");
  std::smatch parts;
  if (!std::regex_match(text, parts, cuda)) fail_usage("device {} is not known (cpu, cuda, cuda:1)", text);
  if (!torch::cuda::is_available()) fail("device {}: there is no CUDA here; use --device cpu", text);
  const auto present = static_cast<int>(torch::cuda::device_count());
  const int index = parts[2].matched ? std::stoi(parts[2]) : present == 1 ? 0 : local_rank;
  if (index >= present)
    fail("device {}: number {} is wanted, and there are only {} CUDA devices here, counted from 0", text,
         index, present);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace retort
