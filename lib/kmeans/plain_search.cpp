// The engine that needs no library.
#include <algorithm>

#include "base/threads.h"
#include "kmeans/packed_centroids.h"

namespace retort {
namespace {

class PlainSearch : public NearestSearch {
 public:
  PlainSearch(const PackedCentroids& centroids, int threads)
      : centroids_(centroids), threads_(threads), error_factor_(f32_error_factor(centroids.dim())) {}

  void search(const float* rows, int64_t count, Nearest* nearest) override {
    constexpr int64_t task = 192;
    parallel_for(static_cast<size_t>((count + task - 1) / task), threads_, [&](size_t index) {
      const int64_t first = static_cast<int64_t>(index) * task;
      centroids_.search(rows + first * centroids_.dim(), std::min(task, count - first), nearest + first);
    });
  }

  double error_factor() const override { return error_factor_; }

 private:
  const PackedCentroids& centroids_;
  int threads_;
  double error_factor_;
};

}  // namespace

std::unique_ptr<NearestSearch> make_plain_search(const PackedCentroids& centroids, int threads) {
  return std::make_unique<PlainSearch>(centroids, threads);
}

}  // namespace retort
