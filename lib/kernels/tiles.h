// Products of a few rows with a few panels whose sums stay in registers: what all products are made of.
//
// Every sum adds up the same way wherever its row and its column stand in a tile, so that results do not
// depend on how work was cut.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/panel.h"
#include "kernels/simd.h"
#include "kernels/targets.h"

namespace retort {

template <class Vector, class Value>
RETORT_INLINE void load(const Value* values, Vector& vector) {
  using Unaligned __attribute__((aligned(1), may_alias)) = Vector;
  vector = *reinterpret_cast<const Unaligned*>(values);
}

template <class Vector, class Value>
RETORT_INLINE void store(const Vector& vector, Value* values) {
  using Unaligned __attribute__((aligned(1), may_alias)) = Vector;
  *reinterpret_cast<Unaligned*>(values) = vector;
}

// What a tile adds to: `values`, of `stride` from one row to the next (0: the same for all rows).
struct TileStart {
  const float* values;
  int64_t stride;
};

// sums (Rows, Panels * 16) = start + rows (Rows, length) times `Panels` panels that lie `panel_size` values
// apart, in registers of `Lanes` floats: one of them or two for a row at a time.
template <int Lanes, int64_t Rows, int64_t Panels, int64_t Registers>
struct Tile {
  using Vector = typename Floats<Lanes>::Vector;
  static constexpr int64_t rows = Rows;
  static constexpr int64_t panels = Panels;
  static constexpr int lanes = Lanes;
  static_assert(Registers == 1 || Registers == 2);

  static RETORT_INLINE void add(const float* const* from, const float* panel, int64_t panel_size,
                                TileStart start, int64_t length, float* sums) {
    const auto column_at = [&](int64_t column) RETORT_INLINE_LAMBDA {
      return panel + (column / panel_width) * panel_size + column % panel_width;
    };
    for (int64_t first = 0; first < Panels * panel_width; first += Registers * lanes) {
      const int64_t second = first + (Registers - 1) * lanes;
      add_columns(from, column_at(first), column_at(second), {start.values + first, start.stride}, length,
                  sums + first);
    }
  }

 private:
  // Registers are variables of their own, since GCC keeps arrays of some vectors in memory.
  static RETORT_INLINE void add_columns(const float* const* from, const float* left_panel,
                                        const float* right_panel, TileStart start, int64_t length,
                                        float* sums) {
    constexpr bool has_right = Registers == 2;
    const float* row[Rows];
    Vector left[Rows], right[Rows];
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      row[r] = from[r];
      load(start.values + r * start.stride, left[r]);
      if constexpr (has_right) load(start.values + r * start.stride + lanes, right[r]);
    }
    for (int64_t j = 0; j < length; ++j) {
      Vector left_weights, right_weights;
      load(left_panel + j * panel_width, left_weights);
      if constexpr (has_right) load(right_panel + j * panel_width, right_weights);
#pragma GCC unroll 16
      for (int64_t r = 0; r < Rows; ++r) {
        const float value = row[r][j];
        left[r] += value * left_weights;
        if constexpr (has_right) right[r] += value * right_weights;
      }
    }
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      store(left[r], sums + r * Panels * panel_width);
      if constexpr (has_right) store(right[r], sums + r * Panels * panel_width + lanes);
    }
  }
};

#ifdef RETORT_X86
// The same with values of bf16, `length` pairs of them: panels are (length, 16, 2).
// Called, not inlined: what holds instructions of its own cannot become part of a function without them.
template <int64_t Rows, int64_t Panels>
struct Bf16Tile {
  static constexpr int64_t rows = Rows;
  static constexpr int64_t panels = Panels;
  static constexpr int lanes = 16;
  RETORT_TARGET_bf16 static void add(const uint16_t* const* from, const uint16_t* panel, int64_t panel_size,
                                     TileStart start, int64_t length, float* sums) {
    const char* row[Rows];
    __m512 sum[Rows][Panels];
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r) {
      row[r] = reinterpret_cast<const char*>(from[r]);
#pragma GCC unroll 16
      for (int64_t p = 0; p < Panels; ++p)
        sum[r][p] = _mm512_loadu_ps(start.values + r * start.stride + p * panel_width);
    }
    for (int64_t j = 0; j < length; ++j) {
      __m512i weight[Panels];
#pragma GCC unroll 16
      for (int64_t p = 0; p < Panels; ++p)
        weight[p] = _mm512_loadu_si512(panel + p * panel_size + 2 * j * panel_width);
#pragma GCC unroll 16
      for (int64_t r = 0; r < Rows; ++r) {
        int pair;
        std::memcpy(&pair, row[r] + j * static_cast<int64_t>(sizeof pair), sizeof pair);
        const __m512bh values = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 16
        for (int64_t p = 0; p < Panels; ++p)
          sum[r][p] = _mm512_dpbf16_ps(sum[r][p], values, reinterpret_cast<__m512bh>(weight[p]));
      }
    }
#pragma GCC unroll 16
    for (int64_t r = 0; r < Rows; ++r)
#pragma GCC unroll 16
      for (int64_t p = 0; p < Panels; ++p) _mm512_storeu_ps(sums + (r * Panels + p) * panel_width, sum[r][p]);
  }
};
#endif

}  // namespace retort
