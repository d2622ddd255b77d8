// The seam between k-means and engines on devices: a search in low precision that says how sure it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/matrix.h"
#include "kernels/exact_distance.h"
#include "nearest/assigner.h"
#include "nearest/centred_centroids.h"

namespace retort {

// The centroid with the lowest score, and how far the second lowest is above it.
struct Nearest {
  int32_t label = 0;
  float lead = 0;
};

// Finds nearest centroids by scores |c|^2 - 2 x.c of centred rows and centroids. An engine may compute scores
// in any order and blocking, as long as each is within error_factor() * (c^2 + 2 c x) of the true value,
// where c is the largest centroid's norm and x the row's, both centred. Where the lead is within twice that
// error, the caller settles the label in f64; a lead that is not a number counts as none.
class NearestSearch {
 public:
  virtual ~NearestSearch() = default;
  // `rows`: (count, dim), as they come; centring is the engine's own business.
  virtual void search(const float* rows, int64_t count, Nearest* nearest) = 0;
  // Relative error of a score.
  virtual double error_factor() const = 0;
};

// Labels by `search`, with what it is not sure of settled in f64. `threads` is positive.
std::unique_ptr<Assigner> make_settling_assigner(const Matrix& centroids,
                                                 std::unique_ptr<NearestSearch> search, int threads);

}  // namespace retort
