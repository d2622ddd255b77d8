#include "kmeans/device_memory.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/kmeans_kernels.h"

namespace retort {
namespace {

constexpr int64_t alignment = 256;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Gives out memory from a base on, and counts it.
class Ground {
 public:
  explicit Ground(char* base) : base_(base) {}

  template <class T>
  void give(int64_t count, T*& to) {
    to = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), alignment);
  }

  void give_frames(const DeviceShape& shape, int64_t rows, DeviceFrames& frames) {
    give(rows * shape.dim, frames.rows);
    give(rows * shape.padded_dim(), frames.rounded);
    give(rows, frames.lengths);
    give(rows, frames.roundings);
    give(rows, frames.plans);
    give(rows, frames.squares);
  }

  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

int64_t lay_out(const DeviceShape& shape, const DevicePlan& plan, char* base, DeviceMemory& memory) {
  const int64_t clusters = shape.clusters, slice = plan.slice_rows;
  Ground ground(base);
  ground.give_frames(shape, plan.resident_rows, memory.resident);
  for (DeviceFrames& buffer : memory.buffers)
    if (plan.streams(shape)) ground.give_frames(shape, slice, buffer);
  ground.give(shape.frames, memory.labels);

  ground.give(shape.dim, memory.reference);
  ground.give(clusters * shape.dim, memory.centroids);
  ground.give(shape.padded_clusters() * shape.padded_dim(), memory.weights);
  ground.give(shape.padded_clusters(), memory.lengths);
  ground.give(shape.padded_clusters(), memory.roundings);
  ground.give(shape.padded_clusters(), memory.norms);
  ground.give(2, memory.largest);

  ground.give(slice, memory.new_labels);
  ground.give(slice, memory.doubtful);
  ground.give(slice, memory.limits);
  ground.give(1, memory.doubtful_count);
  ground.give(slice * shape.mask_words(), memory.masks);
  ground.give(clusters + 1, memory.begins);
  ground.give(clusters + 1, memory.chunk_begins);
  ground.give(clusters, memory.cursors);
  ground.give(2 * slice, memory.moves);

  ground.give(clusters * sum_bins * shape.dim, memory.bins);
  ground.give(clusters * sum_digits, memory.digits);
  ground.give(clusters, memory.sizes);
  ground.give(1, memory.changed);
  ground.give(clusters, memory.entering);
  ground.give(clusters, memory.leaving);

  ground.give(clusters * shape.dim, memory.sums);
  return ground.used();
}

int64_t bytes_of(const DeviceShape& shape, const DevicePlan& plan) {
  DeviceMemory memory{};
  return lay_out(shape, plan, nullptr, memory);
}

// Masks of candidates are the largest part of a slice where there are many clusters.
int64_t most_rows(const DeviceShape& shape, const SliceLimits& limits) {
  constexpr int64_t most_mask_words = int64_t{1} << 26;
  return std::clamp(most_mask_words / shape.mask_words(), limits.least, limits.most);
}

int64_t bytes_of_frames(const DeviceShape& shape, int64_t rows) {
  DeviceFrames frames{};
  Ground ground(nullptr);
  ground.give_frames(shape, rows, frames);
  return ground.used();
}

// Whether a plan without resident frames is within the budget, and the buffers take no more than a quarter.
bool leaves_room(const DeviceShape& shape, const DevicePlan& plan, int64_t budget) {
  return bytes_of(shape, plan) <= budget && 2 * bytes_of_frames(shape, plan.slice_rows) <= budget / 4;
}

std::string in_mebibytes(int64_t bytes) {
  return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20);
}

}  // namespace

int64_t DeviceShape::padded_dim() const {
  return round_up(dim, kmeans_kernels::depth_step);
}

int64_t DeviceShape::padded_clusters() const {
  return round_up(clusters, kmeans_kernels::most_tile_columns);
}

DeviceMemory lay_out(const DeviceShape& shape, const DevicePlan& plan, char* base) {
  DeviceMemory memory{};
  lay_out(shape, plan, base, memory);
  return memory;
}

DevicePlan plan_device_memory(const DeviceShape& shape, int64_t budget, const SliceLimits& limits) {
  const int64_t most = std::min(shape.frames, most_rows(shape, limits));
  const int64_t least = std::min(shape.frames, limits.least);
  DevicePlan all{};
  for (const int64_t slice_rows : {most, least}) {
    all = {slice_rows, shape.frames, 0};
    all.bytes = bytes_of(shape, all);
    if (all.bytes <= budget) return all;
  }
  DevicePlan plan{most, 0, 0};
  while (!leaves_room(shape, plan, budget) && plan.slice_rows > least)
    plan.slice_rows = std::max(plan.slice_rows / 2, least);
  plan.bytes = bytes_of(shape, plan);
  if (plan.bytes > budget)
    fail("--gpu-memory: {} is too little for these frames and clusters; at least {} are needed",
         in_mebibytes(budget), in_mebibytes(std::min(plan.bytes, all.bytes)));
  const int64_t slices = (budget - plan.bytes) / bytes_of_frames(shape, plan.slice_rows);
  plan.resident_rows = std::min(slices, (shape.frames - 1) / plan.slice_rows) * plan.slice_rows;
  plan.bytes = bytes_of(shape, plan);
  return plan;
}

}  // namespace retort
