// What finds the labels of a pass, and remembers from one pass to the next what spares it work.
#pragma once

#include <cstdint>
#include <memory>

#include "base/matrix.h"
#include "kmeans/kmeans.h"

namespace retort {

class Labeller {
 public:
  virtual ~Labeller() = default;
  // The centroids of the passes' next frames.
  virtual void start(const Matrix& centroids) = 0;
  // Frames [first, first + count) of the source: `labels` holds those of the pass before (-1 in the first)
  // and gets the new ones.
  virtual void label(int64_t first, int64_t count, int32_t* labels) = 0;
};

// For a source that stays as it is. `options.engine` is resolved, `options.threads` positive; keeps
// references.
std::unique_ptr<Labeller> make_labeller(const FrameSource& source, const KmeansOptions& options);

}  // namespace retort
