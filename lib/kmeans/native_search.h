// The native engine's search: exact labels of a block of frames, from fused scores that may be of low
// precision, leaving out the centroids that bounds rule out.
//
// Bounds are those of Yinyang k-means (Ding et al., 2015) over groups of sixteen centroids, one panel of the
// kernels each, so that what survives is still computed sixteen scores at a time. Every comparison has the
// errors of its numbers on the safe side: of scores by f32_error_factor(), of bf16 by the lengths of what
// rounding took from the frame and from the centroids (Cauchy-Schwarz). What they cannot decide is scored in
// f32, and what that cannot in f64, which is what defines a label (kmeans.h).
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "kmeans/panelled_centroids.h"

namespace retort {

// What is known of a frame.
struct FrameBounds {
  int32_t label = -1;  // a centroid that `upper` and `lowers` are meant relative to; -1: none
  float upper = std::numeric_limits<float>::infinity();  // no smaller than the distance to it
  float* lowers = nullptr;  // by panel: no larger than the distance to any other centroid there; may be null
};

// Lowers are kept in rows of this many floats, the last ones unused.
int64_t lowers_stride(int64_t panels);

// lowers[p] less drifts[p], on the safe side; returns the least. Both hold `stride` values, unused drifts 0.
float shift_lowers(float* lowers, const float* drifts, int64_t stride);

// One thread's: it holds memory for a block.
class NativeSearch {
 public:
  static constexpr int64_t block_rows = 192;  // as many as stay in the second-level cache

  // Keeps a reference.
  explicit NativeSearch(const PanelledCentroids& centroids);

  // Nearest centroids of `count` <= block_rows finite rows (count, dim). Takes bounds that hold for these
  // centroids and leaves such bounds, with the label that the definition asks for.
  void search(const float* rows, int64_t count, FrameBounds* bounds);

 private:
  // A row of the block, centred.
  struct Row {
    const float* values;  // as they came
    double square;        // |x|^2
    double f32_error;     // of a score in f32, and of `square`
    double screen_error;  // of a score as the kernel computes it
    double own_score;     // of the label that came with it, in f32
    int64_t own_panel;    // -1 where it came without one
    bool own_apart;       // its own panel is not among those scored
  };
  struct Winner {
    int32_t label;
    double most;  // no smaller than its squared distance
  };

  const float* centred(int64_t index) const { return centred_.data() + index * centroids_.dim(); }
  float& lowest(int64_t row, int64_t panel) { return lowest_[at(row, panel)]; }
  float& second(int64_t row, int64_t panel) { return second_[at(row, panel)]; }
  size_t at(int64_t row, int64_t panel) const {
    return static_cast<size_t>(row * centroids_.panels() + panel);
  }

  Row prepare(int64_t index, const float* values);
  bool trusts(const Row& row) const;
  bool keeps_label(Row& row, int64_t index, FrameBounds& bounds) const;
  void choose_panels(int64_t index, Row& row, const FrameBounds& bounds);
  void score_chosen();
  Winner decide(int64_t index, const Row& row, const FrameBounds& bounds);
  Winner refine(int64_t index, const Row& row, int32_t own, double limit);
  Winner exactly_among(const Row& row, const std::vector<int32_t>& candidates) const;
  Winner exactly_among_all(const Row& row) const;
  void take(int64_t index, const Row& row, const Winner& winner, FrameBounds& bounds);

  const PanelledCentroids& centroids_;
  double f32_factor_;
  std::vector<Row> block_;
  std::vector<float> centred_;
  std::vector<uint16_t> rounded_;
  std::vector<std::vector<int32_t>> chosen_;  // by panel: the rows to be scored against it
  std::vector<float> lowest_;                 // (row, panel)
  std::vector<float> second_;
  std::vector<const float*> pointers_;
  std::vector<const uint16_t*> rounded_pointers_;
  std::vector<PanelMinima> minima_;
  std::vector<int32_t> candidates_;
  std::vector<std::pair<int32_t, double>> scored_;
};

}  // namespace retort
