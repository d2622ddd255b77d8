// Values for products.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace retort {

// From offset - size to offset + size.
inline std::vector<float> random_values(int64_t count, uint64_t seed, double size = 1, double offset = 0) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(size * (2 * random.uniform() - 1) + offset);
  return values;
}

}  // namespace retort
