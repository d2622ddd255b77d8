// k-means++ (Arthur and Vassilvitskii, 2007): each next centroid is drawn with a probability in proportion to
// its squared distance from those before.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"
#include "base/random.h"

namespace retort {

// Rows to draw from. Draws are the same whatever the threads.
class PlusPlus {
 public:
  static constexpr int64_t bytes_per_row = 2 * sizeof(double);  // besides the row itself

  // Keeps a reference to `rows`. Row i counts as `weights[i]` rows; where there are no weights, as one.
  PlusPlus(const Matrix& rows, std::vector<double> weights, int threads);

  void add_centroid(const float* centroid);

  // A row drawn by weight and squared distance from the centroids so far, or by weight alone while there is
  // none; -1 where every row is a centroid already.
  int64_t draw(Random& random) const;

 private:
  double weight(std::size_t row) const { return weights_.empty() ? 1 : weights_[row]; }

  const Matrix& rows_;
  std::vector<double> weights_;
  int threads_;
  std::vector<double> nearest_;  // squared distance to the nearest centroid; 1 while there is none
  bool begun_ = false;
};

}  // namespace retort
