#include "kmeans/plus_plus.h"

#include <algorithm>
#include <utility>

#include "base/threads.h"
#include "kernels/exact_distance.h"

namespace retort {

PlusPlus::PlusPlus(const Matrix& rows, std::vector<double> weights, int threads)
    : rows_(rows),
      weights_(std::move(weights)),
      threads_(threads),
      nearest_(static_cast<size_t>(rows.rows()), 1.0) {}

void PlusPlus::add_centroid(const float* centroid) {
  constexpr int64_t task = 2048;
  parallel_for(static_cast<size_t>((rows_.rows() + task - 1) / task), threads_, [&](size_t index) {
    const int64_t first = static_cast<int64_t>(index) * task;
    for (int64_t i = first; i < std::min(first + task, rows_.rows()); ++i) {
      double& nearest = nearest_[static_cast<size_t>(i)];
      const double distance = squared_distance(rows_.row(i).data(), centroid, rows_.columns());
      nearest = begun_ ? std::min(nearest, distance) : distance;
    }
  });
  begun_ = true;
}

int64_t PlusPlus::draw(Random& random) const {
  double total = 0;
  for (size_t i = 0; i < nearest_.size(); ++i) total += weight(i) * nearest_[i];
  if (!(total > 0)) return -1;
  double left = random.uniform() * total;
  int64_t drawn = -1;
  for (size_t i = 0; i < nearest_.size(); ++i) {
    const double share = weight(i) * nearest_[i];
    if (share <= 0) continue;
    drawn = static_cast<int64_t>(i);
    left -= share;
    if (left < 0) break;
  }
  return drawn;
}

}  // namespace retort
