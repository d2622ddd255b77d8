// The cosine of two vectors.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace retort {

// Of vectors of the same width, in f64; 0 where one of them is zeros.
inline double cosine(std::span<const float> a, std::span<const float> b) {
  double both = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    squares_a += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    squares_b += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  const double lengths = std::sqrt(squares_a) * std::sqrt(squares_b);
  return lengths > 0 ? both / lengths : 0;
}

}  // namespace retort
