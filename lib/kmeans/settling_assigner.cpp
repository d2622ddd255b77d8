#include <algorithm>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "kmeans/kmeans.h"
#include "kmeans/nearest_search.h"

namespace retort {
namespace {

// Above this, scores may overflow and say nothing.
constexpr double largest_square = 1e37;

// Exact labels from a search that says how sure it is: the rest is settled in f64.
class SettlingAssigner : public Assigner {
 public:
  SettlingAssigner(const Matrix& centroids, std::unique_ptr<NearestSearch> search, int threads)
      : centroids_(centroids), centred_(centroids), threads_(threads), search_(std::move(search)) {}

  void assign(const float* rows, int64_t count, int32_t* labels, double* distances) override {
    nearest_.resize(static_cast<size_t>(count));
    search_->search(rows, count, nearest_.data());
    constexpr int64_t task = 256;
    parallel_for(static_cast<size_t>((count + task - 1) / task), threads_, [&](size_t index) {
      const int64_t first = static_cast<int64_t>(index) * task;
      for (int64_t i = first; i < std::min(first + task, count); ++i) {
        const ExactNearest decision =
            decide(rows + i * centroids_.columns(), nearest_[static_cast<size_t>(i)]);
        labels[i] = decision.label;
        if (distances) distances[i] = decision.distance;
      }
    });
  }

 private:
  ExactNearest decide(const float* row, const Nearest& nearest) const {
    const double distance = squared_distance(row, centroids_.row(nearest.label).data(), centroids_.columns());
    // The centred row is no longer than its distance to a centroid and that centroid's norm together.
    const double row_norm = std::sqrt(distance) + centred_.largest_norm;
    const double magnitude = centred_.largest_norm * (centred_.largest_norm + 2 * row_norm);
    const double doubt = 2 * search_->error_factor() * magnitude;
    const bool sure = magnitude<largest_square&& static_cast<double>(nearest.lead)> doubt;
    return sure ? ExactNearest{nearest.label, distance} : nearest_exactly(row, centroids_);
  }

  const Matrix centroids_;
  const CentredCentroids centred_;
  const int threads_;
  std::unique_ptr<NearestSearch> search_;
  std::vector<Nearest> nearest_;
};

}  // namespace

std::unique_ptr<Assigner> make_settling_assigner(const Matrix& centroids,
                                                 std::unique_ptr<NearestSearch> search, int threads) {
  return std::make_unique<SettlingAssigner>(centroids, std::move(search), threads);
}

}  // namespace retort
