#include "nearest/panelled_centroids.h"

#include <algorithm>
#include <cmath>

namespace retort {

PanelledCentroids::PanelledCentroids(const Matrix& centroids, std::vector<int32_t> order,
                                     const ScoreKernels& kernels)
    : kernels_(kernels),
      centroids_(centroids),
      centred_(centroids),
      order_(std::move(order)),
      panels_((centroids.rows() + panel_width - 1) / panel_width),
      slot_of_(static_cast<size_t>(centroids.rows())),
      weights_(static_cast<size_t>(panels_ * dim() * panel_width)),
      norms_(static_cast<size_t>(panels_ * panel_width), padding_norm) {
  if (has_bf16()) weights_bf16_.resize(static_cast<size_t>(panels_ * 2 * pairs() * panel_width));
  for (int64_t slot = 0; slot < clusters(); ++slot) {
    const int32_t centroid = order_[static_cast<size_t>(slot)];
    slot_of_[static_cast<size_t>(centroid)] = slot;
    norms_[static_cast<size_t>(slot)] = norm(centroid);
    pack(slot, centroid);
    if (has_bf16()) pack_bf16(slot, centroid);
  }
}

std::span<const int32_t> PanelledCentroids::members(int64_t panel) const {
  const int64_t first = panel * panel_width;
  return {order_.data() + first, static_cast<size_t>(std::min(panel_width, clusters() - first))};
}

void PanelledCentroids::pack(int64_t slot, int32_t centroid) {
  float* column = weights_.data() + slot / panel_width * dim() * panel_width + slot % panel_width;
  const float* values = centred(centroid);
  for (int64_t j = 0; j < dim(); ++j) column[j * panel_width] = -2 * values[j];
}

void PanelledCentroids::pack_bf16(int64_t slot, int32_t centroid) {
  std::vector<float> doubled(static_cast<size_t>(dim()));
  std::vector<uint16_t> rounded(doubled.size());
  const float* values = centred(centroid);
  for (int64_t j = 0; j < dim(); ++j) doubled[static_cast<size_t>(j)] = -2 * values[j];
  const float lost = kernels_.round_bf16(doubled.data(), dim(), rounded.data());
  largest_rounding_ = std::max(largest_rounding_, 0.5 * std::sqrt(static_cast<double>(lost)));
  uint16_t* column =
      weights_bf16_.data() + slot / panel_width * 2 * pairs() * panel_width + 2 * (slot % panel_width);
  for (int64_t j = 0; j < dim(); ++j)
    column[j / 2 * 2 * panel_width + j % 2] = rounded[static_cast<size_t>(j)];
}

}  // namespace retort
