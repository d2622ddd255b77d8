// K-means and nearest centroids on GPUs, which LibTorch reaches.
#pragma once

namespace retort {

// Fills device_engines (kmeans/device_engines.h), in builds with LibTorch. A program that calls it loads
// LibTorch, which takes as long as some seconds of audio.
#ifdef RETORT_WITH_TORCH
void use_torch_kmeans();
#else
inline void use_torch_kmeans() {}
#endif

}  // namespace retort
