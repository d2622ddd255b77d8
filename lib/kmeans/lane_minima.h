// The two lowest scores of a row, kept in sixteen lanes.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "kmeans/nearest_search.h"
#include "kmeans/simd.h"

namespace retort {

// Lane l has seen centroids l, l + 16, l + 32, ...: group g of sixteen centroids is offered to all lanes at
// once.
struct LaneMinima {
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  Float16 lowest = Float16{} + infinity;
  Float16 second = Float16{} + infinity;
  Int16 group = Int16{};

  RETORT_INLINE void offer(const Float16& scores, int32_t group_of_scores) {
    const Int16 lower = scores < lowest;
    const Int16 between = scores < second;
    second = lower ? lowest : (between ? scores : second);
    group = lower ? Int16{} + group_of_scores : group;
    lowest = lower ? scores : lowest;
  }

  RETORT_INLINE Nearest nearest() const {
    Nearest found;
    float least = infinity;
    float next = infinity;
    for (int lane = 0; lane < 16; ++lane) {
      if (lowest[lane] < least) {
        next = std::min(least, second[lane]);
        least = lowest[lane];
        found.label = group[lane] * 16 + lane;
      } else {
        next = std::min(next, lowest[lane]);
      }
    }
    found.lead = next - least;
    return found;
  }
};

// The nearest centroid by a whole row of scores.
Nearest two_lowest(const float* scores, int64_t count);

}  // namespace retort
