// What no store and no table may hold.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/matrix.h"

namespace retort {

// The first row with a value that is NaN or infinite, or -1.
inline int64_t first_not_finite_row(const Matrix& frames) {
  for (int64_t row = 0; row < frames.rows(); ++row)
    for (const float value : frames.row(row))
      if (!std::isfinite(value)) return row;
  return -1;
}

}  // namespace retort
