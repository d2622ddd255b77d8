// What products do with their sums before these leave the caches: part of the kernels that use it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/product.h"
#include "kernels/vector_math.h"

namespace retort {

// Rows that share a panel while it is in cache.
inline constexpr int64_t block_rows = 64;

// Bytes that a kernel takes of a row at a time: one float, two values of bf16 or four of eight bits.
inline constexpr int64_t step_bytes = 4;

// A run of rows of a product, and of its columns.
struct Part {
  int64_t first_row;
  int64_t first_column;
  int64_t columns;
};

// Turns the sums of a row of the part, bias included, into what the product asks for.
template <int Lanes>
RETORT_INLINE void finish_row(const float* sums, const Product& product, int64_t row, const Part& part) {
  float* out = product.out + row * product.out_stride + part.first_column;
  const float* residual = nullptr;
  if (product.residual) residual = product.residual + row * product.residual_stride + part.first_column;
  for (int64_t first = 0; first < part.columns; first += Lanes) {
    const int64_t count = std::min<int64_t>(Lanes, part.columns - first);
    Vector<Lanes> x;
    load(sums + first, x);
    if (product.gelu) gelu<Lanes>(x);
    if (count == Lanes) {
      Vector<Lanes> y{};
      if (residual) load(residual + first, y);
      x += y;
      store(x, out + first);
    } else {
      for (int64_t c = 0; c < count; ++c) out[first + c] = residual ? x[c] + residual[first + c] : x[c];
    }
  }
}

}  // namespace retort
