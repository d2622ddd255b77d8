// The native engine's search: exact labels of a block of frames, from fused scores that may be of low
// precision, leaving out the centroids that bounds rule out.
//
// Bounds are those of Yinyang k-means (Ding et al., 2015) over groups of sixteen centroids, one panel of the
// kernels each, so that what survives is still computed sixteen scores at a time. Every comparison has the
// errors of its numbers on the safe side: of scores by f32_error_factor(), of bf16 by the lengths of what
// rounding took from the frame and from the centroids (Cauchy-Schwarz). What they cannot decide is scored in
// f32, and what that cannot in f64, which is what defines a label (assigner.h).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "nearest/panelled_centroids.h"

namespace retort {

// What is known of a frame.
struct FrameBounds {
  int32_t label = -1;  // a centroid that `upper` and `lowers` are meant relative to; -1: none
  float upper = std::numeric_limits<float>::infinity();  // no smaller than the distance to it
  float least = 0;                                       // no larger than the least of `lowers`
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

  // What one holds for as many centroids, with rows that have to be copied and room for its vectors to grow.
  static int64_t bytes(int64_t clusters, int64_t dim);

  // Nearest centroids of `count` <= block_rows rows of finite values, wherever each of them is. Takes bounds
  // that hold for these centroids and leaves such bounds, with the label that the definition asks for.
  // `least` is not brought up to date. A row that is not finite gets any label.
  void search(const float* const* rows, int64_t count, FrameBounds* bounds);

 private:
  // A row of the block.
  struct Row {
    const float* values;       // as they came
    double square;             // |x|^2 of the centred row
    double f32_error;          // of a score in f32, and of `square`
    double screen_error;       // of a score as the kernel computes it
    double own_score;          // of the label that came with it, in f32
    int64_t own_panel;         // -1 where it came without one
    bool own_apart;            // its own panel is not among those that it is scored against
    size_t first_pair, pairs;  // in pairs_
  };
  // A row to be scored against a panel, and what comes of it.
  struct Pair {
    int32_t row;
    int32_t panel;
    PanelMinima minima;
  };
  struct Winner {
    int32_t label;
    double most;  // no smaller than its squared distance
  };

  const float* centred(int64_t index) const { return centred_.data() + index * centroids_.dim(); }
  std::span<const Pair> pairs_of(const Row& row) const;
  int32_t label_of(int64_t panel, float score) const;

  Row prepare(int64_t index, const float* values);
  double f32_score(int64_t index, int32_t centroid) const;
  bool trusts(const Row& row) const;
  void label_exactly(const Row& row, FrameBounds& bounds) const;
  bool keeps_label(Row& row, int64_t index, FrameBounds& bounds) const;
  void choose_panels(int64_t index, Row& row, const FrameBounds& bounds);
  void score_pairs();
  Winner decide(int64_t index, const Row& row, const FrameBounds& bounds);
  Winner refine(int64_t index, const Row& row, int32_t own, double limit);
  Winner exactly_among(const Row& row, const std::vector<int32_t>& candidates) const;
  void take(const Row& row, const Winner& winner, FrameBounds& bounds) const;

  const PanelledCentroids& centroids_;
  double f32_factor_;
  std::vector<Row> block_;
  std::vector<float> centred_;                  // (row, dim)
  std::vector<uint16_t> rounded_;               // (row, 2 pairs of values), bf16
  std::vector<Pair> pairs_;                     // by row, then panel
  std::vector<std::vector<int32_t>> of_panel_;  // indices of pairs_
  std::vector<const float*> pointers_;
  std::vector<const uint16_t*> rounded_pointers_;
  std::vector<PanelMinima> minima_;
  std::vector<int32_t> candidates_;
  std::vector<std::pair<int32_t, double>> scored_;  // centroid, score
};

}  // namespace retort
