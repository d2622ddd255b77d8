#include "nn/torch_device.h"
#include "torch_kmeans/torch_kmeans.h"
#include "torch_kmeans/use_torch_kmeans.h"

namespace retort {

void use_torch_kmeans() {
  device_engines.require_device = [](const std::string& device) { static_cast<void>(parse_device(device)); };
  device_engines.make_search = make_torch_search;
#ifdef RETORT_WITH_CUDA
  device_engines.make_cuda_passes = make_cuda_passes;
#endif
}

}  // namespace retort
