#include "model/relative_positions.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace retort {

// T5's buckets, in both directions: half of them for keys after the query. A quarter of all are single
// distances, the rest grow with the logarithm.
int64_t relative_bucket(const ModelConfig& config, int64_t distance) {
  const int64_t half = config.relative_buckets / 2;
  const int64_t exact = half / 2;
  const int64_t offset = distance > 0 ? half : 0;
  const int64_t size = std::abs(distance);
  if (size < exact) return offset + size;
  // In f32 and in this order, as the reference rounds: a bucket more or less would be another bias.
  const auto first_far = static_cast<float>(exact);
  const float share = std::log(static_cast<float>(size) / first_far) /
                      static_cast<float>(std::log(static_cast<double>(config.relative_distance) /
                                                  static_cast<double>(exact)));
  const float far = share * static_cast<float>(half - exact) + first_far;
  return offset + static_cast<int64_t>(std::min(far, static_cast<float>(half - 1)));
}

}  // namespace retort
