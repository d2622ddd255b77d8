#include "encoder/length_buckets.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace retort {

// Some best way has buckets that are runs of the sorted lengths; the best cut of the first i of them ends
// with a run from some j on, behind the best cut of the first j.
std::vector<std::vector<std::size_t>> length_buckets(const std::vector<int64_t>& lengths,
                                                     const BucketLimits& limits) {
  std::vector<std::size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });

  std::vector<int64_t> cost(order.size() + 1, std::numeric_limits<int64_t>::max());
  std::vector<std::size_t> begin(order.size() + 1);
  cost[0] = 0;
  for (std::size_t end = 1; end <= order.size(); ++end) {
    const int64_t longest = lengths[order[end - 1]];
    for (std::size_t first = end; first-- > 0;) {
      const int64_t padded = longest * static_cast<int64_t>(end - first);
      if (padded > limits.padded && first + 1 < end) break;
      if (const int64_t all = cost[first] + padded + limits.overhead; all < cost[end]) {
        cost[end] = all;
        begin[end] = first;
      }
    }
  }

  std::vector<std::vector<std::size_t>> buckets;
  for (std::size_t end = order.size(); end > 0; end = begin[end])
    buckets.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(begin[end]),
                         order.begin() + static_cast<std::ptrdiff_t>(end));
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

}  // namespace retort
