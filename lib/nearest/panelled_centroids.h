// Centroids as the native engine's kernels want them (kernels/score_panel.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "kernels/score_panel.h"
#include "nearest/centred_centroids.h"

namespace retort {

class PanelledCentroids {
 public:
  // Panel p holds the sixteen centroids order[16 p], order[16 p + 1], ...; `order` is a permutation of all.
  // Copies everything.
  PanelledCentroids(const Matrix& centroids, std::vector<int32_t> order, const ScoreKernels& kernels);

  const ScoreKernels& kernels() const { return kernels_; }
  const Matrix& centroids() const { return centroids_; }
  int64_t dim() const { return centroids_.columns(); }
  int64_t clusters() const { return centroids_.rows(); }
  int64_t panels() const { return panels_; }
  int64_t pairs() const { return (dim() + 1) / 2; }
  bool has_bf16() const { return kernels_.minima_bf16 != nullptr; }

  // The centroids in a panel, fewer in the last.
  std::span<const int32_t> members(int64_t panel) const;
  int64_t panel_of(int32_t centroid) const { return slot_of_[static_cast<size_t>(centroid)] / panel_width; }

  const float* mean() const { return centred_.mean.data(); }
  const float* centred(int32_t centroid) const { return centred_.centred.row(centroid).data(); }
  float norm(int32_t centroid) const { return centred_.norms[static_cast<size_t>(centroid)]; }
  double largest_norm() const { return centred_.largest_norm; }
  // The largest length of what rounding a centred centroid to bf16 changes.
  double largest_rounding() const { return largest_rounding_; }

  const float* weights(int64_t panel) const { return weights_.data() + panel * dim() * panel_width; }
  const uint16_t* weights_bf16(int64_t panel) const {
    return weights_bf16_.data() + panel * 2 * pairs() * panel_width;
  }
  const float* norms(int64_t panel) const { return norms_.data() + panel * panel_width; }

 private:
  void pack(int64_t slot, int32_t centroid);
  void pack_bf16(int64_t slot, int32_t centroid);

  const ScoreKernels& kernels_;
  const Matrix centroids_;
  const CentredCentroids centred_;
  const std::vector<int32_t> order_;
  int64_t panels_;
  std::vector<int64_t> slot_of_;
  std::vector<float> weights_;          // (panels, dim, 16): -2 c
  std::vector<uint16_t> weights_bf16_;  // (panels, pairs, 16, 2): -2 c
  std::vector<float> norms_;            // (panels, 16): |c|^2
  double largest_rounding_ = 0;
};

}  // namespace retort
