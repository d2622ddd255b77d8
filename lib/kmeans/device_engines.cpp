#include "kmeans/device_engines.h"

#include "base/error.h"

namespace retort {

void require_device(const std::string& device) {
  if (device == "cpu") return;
  if (!device_engines.require_device)
    fail_usage("device {}: this program has no LibTorch, which GPUs need; use --device cpu", device);
  device_engines.require_device(device);
}

}  // namespace retort
