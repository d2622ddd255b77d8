// Trains product codebooks (store/product_codebook.h): k-means in each subspace by itself.
#pragma once

#include <vector>

#include "kmeans/frame_sources.h"
#include "kmeans/kmeans.h"
#include "store/product_codebook.h"

namespace retort {

// Columns [first, first + count) of another source's rows.
class ColumnsOfFrames : public ForwardedFrames {
 public:
  // Keeps a reference.
  ColumnsOfFrames(const FrameSource& source, int64_t first, int64_t count)
      : ForwardedFrames(source), first_(first), count_(count) {}

  int64_t dim() const override { return count_; }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t, int64_t) const override { return nullptr; }

 private:
  int64_t first_;
  int64_t count_;
};

struct ProductResult {
  ProductCodebook codebook;
  std::vector<KmeansResult> subspaces;  // without their centroids and labels
  double inertia;  // mean squared distance of a frame from what its codes stand for, all subspaces together
};

// Throws a usage Error for options that make no product codebook of frames of `dim` values.
void check_product_options(const KmeansOptions& options, int64_t subspaces, int64_t dim);

// `options` are those of each subspace, whose seed follows from theirs and its number. Deterministic as
// run_kmeans is.
ProductResult train_product_codebook(const FrameSource& source, const KmeansOptions& options,
                                     int64_t subspaces, const Processes& processes = Processes());

}  // namespace retort
