// Labels of frames: the numbers of their nearest centroids.
//
// The label of a frame is defined once: the centroid at the least squared distance, computed in f64 from the
// f32 values in a fixed order (kernels/exact_distance.h), the lower index where two are equal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/matrix.h"

namespace retort {

// Nearest centroids of many rows. Equal distances go to the lower index.
class Assigner {
 public:
  virtual ~Assigner() = default;
  // `rows` holds count * dim finite values; labels (and squared distances, unless null) get count values. A
  // row's label does not depend on which rows it comes with.
  virtual void assign(const float* rows, int64_t count, int32_t* labels, double* distances) = 0;
};

// On the CPU. `threads` is positive. An Error without centroids.
std::unique_ptr<Assigner> make_native_assigner(const Matrix& centroids, int threads);

// Any engine that make_assigner() of kmeans.h knows; null in programs that do without LibTorch.
using AssignerMaker = std::unique_ptr<Assigner> (*)(const Matrix& centroids, const std::string& engine,
                                                    const std::string& device, int threads);
extern AssignerMaker make_device_assigner;

}  // namespace retort
