// The seam between k-means and GPUs, which take LibTorch: lib/torch_kmeans/ is behind it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kmeans/nearest_search.h"
#include "kmeans/pass_engine.h"

namespace retort {

// `device` is one of CUDA throughout.
struct DeviceEngines {
  // An Error if this build or machine has no such device.
  void (*require_device)(const std::string& device) = nullptr;
  std::unique_ptr<NearestSearch> (*make_search)(const CentredCentroids& centroids,
                                                const std::string& device) = nullptr;
  // `reference` as ClusterSums has it. Keeps references to source and options. Only in builds with CUDA.
  std::unique_ptr<PassEngine> (*make_cuda_passes)(const FrameSource& source, const KmeansOptions& options,
                                                  int64_t clusters, std::vector<float> reference) = nullptr;
};

// Empty in programs that do without LibTorch.
inline DeviceEngines device_engines;

// Throws an Error where this program, build or machine cannot compute there.
void require_device(const std::string& device);

}  // namespace retort
