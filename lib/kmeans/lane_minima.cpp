#include "kmeans/lane_minima.h"

namespace retort {

RETORT_CLONES Nearest two_lowest(const float* scores, int64_t count) {
  LaneMinima minima;
  int64_t first = 0;
  Float16 group;
  for (; first + 16 <= count; first += 16) {
    std::memcpy(&group, scores + first, sizeof group);
    minima.offer(group, static_cast<int32_t>(first / 16));
  }
  if (first < count) {
    group = Float16{} + LaneMinima::infinity;
    std::memcpy(&group, scores + first, static_cast<size_t>(count - first) * sizeof(float));
    minima.offer(group, static_cast<int32_t>(first / 16));
  }
  return minima.nearest();
}

}  // namespace retort
