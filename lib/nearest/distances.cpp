#include "nearest/distances.h"

#include "base/threads.h"
#include "kernels/exact_distance.h"

namespace retort {

Matrix squared_distances(const Matrix& frames, const Matrix& centroids, int threads) {
  Matrix distances(frames.rows(), centroids.rows());
  parallel_for(static_cast<std::size_t>(frames.rows()), threads > 0 ? threads : available_threads(),
               [&](std::size_t index) {
                 const auto row = static_cast<int64_t>(index);
                 for (int64_t k = 0; k < centroids.rows(); ++k)
                   distances(row, k) = static_cast<float>(squared_distance(
                       frames.row(row).data(), centroids.row(k).data(), centroids.columns()));
               });
  return distances;
}

}  // namespace retort
