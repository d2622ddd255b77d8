// Passes of k-means on a device: labels, and sums that are those of the CPU to the last bit.
#pragma once

#include <memory>
#include <vector>

#include "kmeans/device_memory.h"
#include "kmeans/kmeans_device.h"
#include "kmeans/pass_engine.h"

namespace retort {

// Frames that fit the device's memory are copied there once; the others pass through it in every pass, slice
// by slice, the next one being copied while one is worked on. What kernels/kmeans_kernels.h says of a slice
// is done with each. Only centroids go to the device and sums come back, (K, dim) values of both in a pass.
class DevicePasses : public PassEngine {
 public:
  // Keeps references to the source and the options, of which gpu_memory is the budget.
  DevicePasses(const FrameSource& source, const KmeansOptions& options, int64_t clusters,
               std::vector<float> reference, std::unique_ptr<KmeansDevice> device,
               const SliceLimits& limits = {});
  ~DevicePasses() override;

  Clusters run(const Matrix& centroids, Progress& progress) override;
  const ClusterSums& sums() override;
  const std::vector<int32_t>& labels() override;

 private:
  void set_centroids(const Matrix& centroids);
  DeviceFrames bring(int64_t slice);
  void send_rows(int64_t first, int64_t count, float* to);
  void read_rows(int64_t first, int64_t count, float* to) const;
  void prepare(const DeviceFrames& frames, int64_t count);
  void label(const DeviceFrames& frames, int64_t count);
  void add_up(const DeviceFrames& frames, int64_t first, int64_t count);
  std::vector<double> squares() const;
  Clusters clusters_about(const Matrix& centroids);
  template <class T>
  std::vector<T> fetch(const T* from, int64_t count) const;

  const FrameSource& source_;
  const KmeansOptions& options_;
  const std::vector<float> reference_;
  const std::unique_ptr<KmeansDevice> device_;
  const DeviceShape shape_;
  const DevicePlan plan_;
  DeviceMemory memory_;
  int64_t staged_rows_;  // at a time
  int slot_ = 0;         // of staging memory, to be filled next
  int64_t chunk_ = -1;   // of the source, the one that was begun
  bool first_pass_ = true;
  std::vector<int32_t> labels_;
  std::unique_ptr<ClusterSums> sums_;
};

}  // namespace retort
