#include "nearest/centroid_groups.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "kernels/exact_distance.h"

namespace retort {
namespace {

class Halving {
 public:
  Halving(const Matrix& centroids, int64_t width)
      : centroids_(centroids), width_(width), position_(static_cast<size_t>(centroids.rows())) {}

  void sort(std::span<int32_t> group) {
    const auto size = static_cast<int64_t>(group.size());
    if (size <= width_) return;
    const auto runs = (size + width_ - 1) / width_;
    const auto half = static_cast<size_t>(runs / 2 * width_);
    const int32_t one_end = farthest_from(group.front(), group);
    const int32_t other_end = farthest_from(one_end, group);
    sort_between(group, centroids_.row(one_end).data(), centroids_.row(other_end).data());
    // Two-means with halves of a fixed size.
    for (int round = 0; round < 8; ++round) {
      const std::vector<float> one_mean = mean_of(group.first(half));
      const std::vector<float> other_mean = mean_of(group.subspan(half));
      sort_between(group, one_mean.data(), other_mean.data());
    }
    sort(group.first(half));
    sort(group.subspan(half));
  }

 private:
  double distance(int32_t a, int32_t b) const {
    return squared_distance(centroids_.row(a).data(), centroids_.row(b).data(), centroids_.columns());
  }

  // The difference of the squared distances to both ends grows along the line between them.
  void sort_between(std::span<int32_t> group, const float* one_end, const float* other_end) {
    for (const int32_t k : group) {
      const float* centroid = centroids_.row(k).data();
      position_[static_cast<size_t>(k)] = squared_distance(centroid, one_end, centroids_.columns()) -
                                          squared_distance(centroid, other_end, centroids_.columns());
    }
    std::sort(group.begin(), group.end(), [&](int32_t a, int32_t b) {
      const double left = position_[static_cast<size_t>(a)];
      const double right = position_[static_cast<size_t>(b)];
      return left < right || (left == right && a < b);
    });
  }

  std::vector<float> mean_of(std::span<const int32_t> group) const {
    std::vector<float> mean(static_cast<size_t>(centroids_.columns()));
    for (const int32_t k : group)
      for (size_t j = 0; j < mean.size(); ++j) mean[j] += centroids_(k, static_cast<int64_t>(j));
    for (float& value : mean) value /= static_cast<float>(group.size());
    return mean;
  }

  int32_t farthest_from(int32_t one, std::span<const int32_t> group) const {
    int32_t farthest = one;
    double largest = 0;
    for (const int32_t k : group) {
      const double here = distance(k, one);
      if (here <= largest) continue;
      largest = here;
      farthest = k;
    }
    return farthest;
  }

  const Matrix& centroids_;
  int64_t width_;
  std::vector<double> position_;
};

}  // namespace

std::vector<int32_t> group_centroids(const Matrix& centroids, int64_t width) {
  std::vector<int32_t> order(static_cast<size_t>(centroids.rows()));
  std::iota(order.begin(), order.end(), 0);
  Halving(centroids, width).sort(order);
  return order;
}

}  // namespace retort
