// How tiles make a product: blocks of rows, in f32 or rounded to bf16, times panel after panel. Part of the
// kernels that use it, each with tiles of its own.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/finish.h"
#include "kernels/panel.h"
#include "kernels/product.h"
#include "kernels/tiles.h"

namespace retort {

// Steps of a row that are multiplied before the next rows are: their part of two panels fits the caches.
inline constexpr int64_t block_steps = 768;

template <class Value>
inline constexpr int64_t values_per_step = step_bytes / static_cast<int64_t>(sizeof(Value));

// Rows (count, steps) as a kernel multiplies them; `stride` counts values.
template <class Value>
struct Rows {
  const Value* values;
  int64_t stride;
  int64_t count;  // block_rows at most
  int64_t steps;
};

// The columns of a product that one tile makes, from the panels at `panel`.
template <class T, class Value>
RETORT_INLINE void multiply_columns(const Rows<Value>& rows, const Value* panel, int64_t panel_size,
                                    const Product& product, const Part& part) {
  constexpr int64_t width = T::panels * panel_width;
  constexpr int64_t step = values_per_step<Value>;
  alignas(64) float bias[width] = {};
  alignas(64) float sums[(block_rows + T::rows) * width];
  if (product.bias) std::copy_n(product.bias + part.first_column, part.columns, bias);
  for (int64_t begin = 0; begin < rows.steps; begin += block_steps) {
    const int64_t steps = std::min(block_steps, rows.steps - begin);
    for (int64_t r = 0; r < rows.count; r += T::rows) {
      const Value* from[T::rows];
      for (int64_t i = 0; i < T::rows; ++i)
        from[i] = rows.values + std::min(r + i, rows.count - 1) * rows.stride + begin * step;
      const TileStart start = begin == 0 ? TileStart{bias, 0} : TileStart{sums + r * width, width};
      T::add(from, panel + begin * step * panel_width, panel_size, start, steps, sums + r * width);
    }
  }
  for (int64_t r = 0; r < rows.count; ++r)
    finish_row<T::lanes>(sums + r * width, product, part.first_row + r, part);
}

// All columns, by Wide and, where panels are left that do not fill one, by Narrow.
template <class Wide, class Narrow, class Value>
RETORT_INLINE void multiply_rows(const Rows<Value>& rows, const Value* panels, const Panels& matrix,
                                 const Product& product, int64_t first_row) {
  const int64_t count = panels_of(matrix.columns);
  for (int64_t panel = 0; panel < count;) {
    const int64_t column = panel * panel_width;
    const Value* at = panels + panel * matrix.panel_size();
    const auto part = [&](int64_t width) RETORT_INLINE_LAMBDA {
      return Part{first_row, column, std::min(width * panel_width, matrix.columns - column)};
    };
    if (count - panel >= Wide::panels) {
      multiply_columns<Wide>(rows, at, matrix.panel_size(), product, part(Wide::panels));
      panel += Wide::panels;
    } else {
      multiply_columns<Narrow>(rows, at, matrix.panel_size(), product, part(Narrow::panels));
      panel += Narrow::panels;
    }
  }
}

// Rows of a block in bf16, and memory for `rows_behind` more, whatever is in it. Rows that overlap, as those
// of convolutions do, are rounded once.
RETORT_INLINE Rows<uint16_t> rounded_rows(const Panels& matrix, const Product& product, int64_t first,
                                          int64_t rows_behind, std::vector<uint16_t>& rounded) {
  const int64_t count = std::min(block_rows, product.count - first);
  const int64_t depth = matrix.depth;
  const float* values = product.rows + first * product.row_stride;
  const bool is_run = product.row_stride <= depth && product.row_stride % 2 == 0 && depth % 2 == 0;
  const int64_t stride = is_run ? product.row_stride : depth + depth % 2;
  rounded.resize(
      static_cast<size_t>(std::max((count - 1) * stride + depth, count * stride) + rows_behind * stride));
  if (is_run) {
    round_to_bf16(values, (count - 1) * stride + depth, rounded.data());
  } else {
    for (int64_t r = 0; r < count; ++r) {
      round_to_bf16(values + r * product.row_stride, depth, rounded.data() + r * stride);
      if (depth % 2 == 1) rounded[static_cast<size_t>(r * stride + depth)] = 0;
    }
  }
  return {rounded.data(), stride, count, (depth + 1) / 2};
}

// The whole product in bf16. Tiles may read `rows_behind` rows more than they are given.
template <class Wide, class Narrow>
RETORT_INLINE void multiply_rounded(const Panels& matrix, const Product& product, int64_t rows_behind,
                                    std::vector<uint16_t>& rounded) {
  for (int64_t first = 0; first < product.count; first += block_rows)
    multiply_rows<Wide, Narrow>(rounded_rows(matrix, product, first, rows_behind, rounded),
                                reinterpret_cast<const uint16_t*>(matrix.data), matrix, product, first);
}

}  // namespace retort
