// What lies where in a device's memory during a k-means job.
#pragma once

#include <cstdint>

namespace retort {

// The numbers that the memory follows from.
struct DeviceShape {
  int64_t frames;
  int64_t dim;
  int64_t clusters;

  int64_t padded_dim() const;
  int64_t padded_clusters() const;
  int64_t mask_words() const { return padded_clusters() / 32; }
};

// Frames as the device holds them.
struct DeviceFrames {
  float* rows;        // (n, dim)
  uint16_t* rounded;  // (n, padded_dim); the rest as kmeans_kernels::PrepareArgs has it
  float* lengths;
  float* roundings;
  uint32_t* plans;
  double* squares;
};

struct DeviceMemory {
  // Frames that stay, and two buffers of a slice each that others pass through; the buffers are null where
  // all frames stay.
  DeviceFrames resident;
  DeviceFrames buffers[2];
  int32_t* labels;  // (frames), of the last pass

  float* reference;   // (dim)
  float* centroids;   // (K, dim)
  uint16_t* weights;  // (padded K, padded_dim)
  float* lengths;     // (padded K)
  float* roundings;   // (padded K)
  float* norms;       // (padded K)
  int* largest;       // (2)

  // Of one slice, as kmeans_kernels::ScoreArgs and MoveArgs have them.
  int32_t* new_labels;
  int32_t* doubtful;
  float* limits;
  int* doubtful_count;
  uint32_t* masks;
  int* begins;
  int* chunk_begins;
  int* cursors;
  int32_t* moves;

  // Sums, all of them 0 at first.
  int64_t* bins;    // (K, sum_bins, dim)
  int64_t* digits;  // (K, sum_digits)
  int64_t* sizes;   // (K)
  int64_t* changed;
  int* entering;  // (K)
  int* leaving;   // (K)

  double* sums;  // (K, dim)
};

// How frames are divided, so that all of it is within a budget.
struct DevicePlan {
  int64_t slice_rows;     // that are worked on at a time
  int64_t resident_rows;  // that stay on the device, full slices or all
  int64_t bytes;          // needed in all

  // Room for frames beyond the ones that stay.
  bool streams(const DeviceShape& shape) const { return resident_rows < shape.frames; }
};

// How many rows a slice may have.
struct SliceLimits {
  int64_t least = 4096;  // fewer than this leave the device idle
  int64_t most = int64_t{1} << 17;
};

// Where everything is from `base` on, which may be null.
DeviceMemory lay_out(const DeviceShape& shape, const DevicePlan& plan, char* base);

// Keeps as many frames on the device as `budget` bytes allow; an Error that says how much is needed where
// not even two of the smallest slices fit.
DevicePlan plan_device_memory(const DeviceShape& shape, int64_t budget, const SliceLimits& limits = {});

}  // namespace retort
