// Tiles of products (tiles.h) by a CPU's tile unit, or by its emulation (amx_emulation.h).
//
// A panel is as the unit wants it already: sixteen steps of a panel fill a register. Two registers of rows
// times one or two of panels make sums in up to four, so that a register is loaded for each product.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/amx_unit.h"
#include "kernels/finish.h"
#include "kernels/tiles.h"

namespace retort {

// Rows that a tile may read after the last one that it was given, for sums that nobody looks at.
inline constexpr int64_t amx_rows_behind = amx_rows - 1;

// The rows of a tile, `stride` bytes apart, in two halves.
struct AmxRows {
  const std::byte* halves[2];
  int64_t stride;
  bool has_second;  // else all of these rows are the first half's last one again

  template <class Value>
  explicit AmxRows(const Value* const* from)
      : halves{reinterpret_cast<const std::byte*>(from[0]),
               reinterpret_cast<const std::byte*>(from[amx_rows])},
        stride((from[1] - from[0]) * static_cast<int64_t>(sizeof(Value))),
        has_second(from[amx_rows] != from[amx_rows - 1]) {}
};

// The registers' numbers: 0 to 3 hold sums, those of a half one after the other.
inline constexpr int amx_first_rows = 4;
inline constexpr int amx_first_panel = 6;

// Sums of both halves += their rows times the panels, `steps` steps of them. `Multiply` is a product of the
// unit, multiply<sums, rows, panel>().
template <class Unit, int Panels, class Multiply>
void add_amx_products(const AmxRows& rows, const std::byte* const (&panels)[Panels], int64_t steps,
                      const Multiply& multiply) {
  constexpr int64_t step_row_bytes = panel_width * step_bytes;  // of a panel
  const auto add = [&](const std::byte* const(&half)[2], int64_t stride,
                       const std::byte* const(&panel)[Panels]) {
    Unit::template load<amx_first_panel>(panel[0], step_row_bytes);
    if constexpr (Panels == 2) Unit::template load<amx_first_panel + 1>(panel[1], step_row_bytes);
    Unit::template load<amx_first_rows>(half[0], stride);
    multiply.template operator()<0, amx_first_rows, amx_first_panel>();
    if constexpr (Panels == 2) multiply.template operator()<1, amx_first_rows, amx_first_panel + 1>();
    if (!rows.has_second) return;
    Unit::template load<amx_first_rows + 1>(half[1], stride);
    multiply.template operator()<Panels, amx_first_rows + 1, amx_first_panel>();
    if constexpr (Panels == 2) multiply.template operator()<3, amx_first_rows + 1, amx_first_panel + 1>();
  };
  const int64_t together = amx_row_bytes / step_bytes;
  const int64_t whole = steps / together * together;
  for (int64_t step = 0; step < whole; step += together) {
    const std::byte* const half[2] = {rows.halves[0] + step * step_bytes, rows.halves[1] + step * step_bytes};
    const std::byte* panel[Panels];
    for (int p = 0; p < Panels; ++p) panel[p] = panels[p] + step * step_row_bytes;
    const auto& here = panel;
    add(half, rows.stride, here);
  }
  if (whole == steps) return;

  // What is left, with zeros behind it: rows may go on with what is not theirs.
  alignas(64) std::byte rest[2][amx_rows * amx_row_bytes] = {};
  alignas(64) std::byte panel_rest[Panels][amx_rows * amx_row_bytes] = {};
  for (int h = 0; h < (rows.has_second ? 2 : 1); ++h)
    for (int64_t r = 0; r < amx_rows; ++r)
      std::memcpy(rest[h] + r * amx_row_bytes, rows.halves[h] + r * rows.stride + whole * step_bytes,
                  static_cast<size_t>((steps - whole) * step_bytes));
  const std::byte* panel[Panels];
  for (int p = 0; p < Panels; ++p) {
    std::memcpy(panel_rest[p], panels[p] + whole * step_row_bytes,
                static_cast<size_t>((steps - whole) * step_row_bytes));
    panel[p] = panel_rest[p];
  }
  const std::byte* const half[2] = {rest[0], rest[1]};
  const auto& here = panel;
  add(half, amx_row_bytes, here);
}

// From rows of sums, `row_values` apart (0: one for all), of both halves one after the other.
template <class Unit, int Panels>
void load_amx_sums(const float* at, int64_t row_values, bool has_second) {
  const int64_t stride = row_values * static_cast<int64_t>(sizeof(float));
  const float* second = at + amx_rows * row_values;
  Unit::template load<0>(at, stride);
  if constexpr (Panels == 2) Unit::template load<1>(at + panel_width, stride);
  if (!has_second) return;
  Unit::template load<Panels>(second, stride);
  if constexpr (Panels == 2) Unit::template load<3>(second + panel_width, stride);
}

template <class Unit, int Panels>
void clear_amx_sums() {
  Unit::template zero<0>();
  Unit::template zero<1>();
  if constexpr (Panels == 2) {
    Unit::template zero<2>();
    Unit::template zero<3>();
  }
}

template <class Unit, int Panels, class Value>
void store_amx_sums(Value* sums, bool has_second) {
  static_assert(sizeof(Value) == 4);
  constexpr int64_t row_values = Panels * panel_width;
  constexpr int64_t stride = row_values * static_cast<int64_t>(sizeof(Value));
  Value* second = sums + amx_rows * row_values;
  Unit::template store<0>(sums, stride);
  if constexpr (Panels == 2) Unit::template store<1>(sums + panel_width, stride);
  if (!has_second) return;
  Unit::template store<Panels>(second, stride);
  if constexpr (Panels == 2) Unit::template store<3>(second + panel_width, stride);
}

// As Bf16Tile. Rows lie as far apart as the first two; behind the last one there is memory of
// amx_rows_behind more.
template <class Unit, int Panels>
struct AmxBf16Tile {
  static constexpr int64_t rows = 2 * amx_rows;
  static constexpr int64_t panels = Panels;
  static constexpr int lanes = 16;
  static void add(const uint16_t* const* from, const uint16_t* panel, int64_t panel_size, TileStart start,
                  int64_t length, float* sums) {
    const AmxRows rows_of(from);
    const std::byte* at[Panels];
    for (int p = 0; p < Panels; ++p) at[p] = reinterpret_cast<const std::byte*>(panel + p * panel_size);
    load_amx_sums<Unit, Panels>(start.values, start.stride, rows_of.has_second);
    const auto& panels_at = at;
    add_amx_products<Unit, Panels>(rows_of, panels_at, length, [&]<int Sums, int Rows, int Panel>() {
      Unit::template multiply_bf16<Sums, Rows, Panel>();
    });
    store_amx_sums<Unit, Panels>(sums, rows_of.has_second);
  }
};

// As VnniTile, with rows as above.
template <class Unit, int Panels>
struct AmxInt8Tile {
  static constexpr int64_t rows = 2 * amx_rows;
  static constexpr int64_t panels = Panels;
  static constexpr int lanes = 16;
  static constexpr int levels = 255;
  static void add(const uint8_t* const* from, const int8_t* panel, int64_t panel_size, int64_t steps,
                  int32_t* sums) {
    const AmxRows rows_of(from);
    const std::byte* at[Panels];
    for (int p = 0; p < Panels; ++p) at[p] = reinterpret_cast<const std::byte*>(panel + p * panel_size);
    clear_amx_sums<Unit, Panels>();
    const auto& panels_at = at;
    add_amx_products<Unit, Panels>(rows_of, panels_at, steps, [&]<int Sums, int Rows, int Panel>() {
      Unit::template multiply_int8<Sums, Rows, Panel>();
    });
    store_amx_sums<Unit, Panels>(sums, rows_of.has_second);
  }
};

}  // namespace retort
