// The native engine's labels for k-means, with bounds that carry over from pass to pass.
#pragma once

#include <memory>
#include <vector>

#include "base/pool.h"
#include "kmeans/labeller.h"
#include "nearest/native_search.h"

namespace retort {

class NativeLabeller : public Labeller {
 public:
  // Remembers bytes_per_frame(); nothing with options.exhaustive, when every pass scores all pairs.
  NativeLabeller(const FrameSource& source, const KmeansOptions& options);
  ~NativeLabeller() override;

  // 4 bytes, and 4 more for each sixteen centroids (132 bytes for K = 500).
  static int64_t bytes_per_frame(int64_t clusters);

  void start(const Matrix& centroids) override;
  void label(int64_t first, int64_t count, int32_t* labels) override;

 private:
  class Worker;

  void start_bounds(const Matrix& centroids);
  void measure_drifts(const Matrix& before, const Matrix& after);

  const FrameSource& source_;
  const KmeansOptions& options_;
  const ScoreKernels& kernels_;
  std::unique_ptr<PanelledCentroids> centroids_;
  std::vector<int32_t> order_;
  int64_t stride_ = 0;               // of lowers_
  std::vector<float> drifts_;        // (K), by centroid: no smaller than how far it moved
  std::vector<float> panel_drifts_;  // (stride), the largest of each panel
  std::vector<float> uppers_;        // (frames)
  std::vector<float> lowers_;        // (frames, stride)
  Pool<Worker> workers_;
};

}  // namespace retort
