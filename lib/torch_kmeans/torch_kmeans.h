// What use_torch_kmeans() gives k-means. Part of this folder alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kmeans/device_engines.h"

namespace retort {

// torch_search.cpp.
std::unique_ptr<NearestSearch> make_torch_search(const CentredCentroids& centroids,
                                                 const std::string& device);

// torch_cuda_device.cpp, which only builds with CUDA have.
std::unique_ptr<PassEngine> make_cuda_passes(const FrameSource& source, const KmeansOptions& options,
                                             int64_t clusters, std::vector<float> reference);

}  // namespace retort
