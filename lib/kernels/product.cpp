#include "kernels/product.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/amx_product.h"
#include "kernels/product_rows.h"

namespace retort {
namespace {

template <class Wide, class Narrow>
RETORT_INLINE void multiply_f32(const Panels& matrix, const Product& product) {
  for (int64_t first = 0; first < product.count; first += block_rows) {
    const Rows<float> rows{product.rows + first * product.row_stride, product.row_stride,
                           std::min(block_rows, product.count - first), matrix.depth};
    multiply_rows<Wide, Narrow>(rows, reinterpret_cast<const float*>(matrix.data), matrix, product, first);
  }
}

// A single row, as recurrent layers have it, takes tiles of one row: others would compute it once per row of
// theirs. The sums are the same.
RETORT_TARGET_portable void multiply_portable(const Panels& matrix, const Product& product) {
  using T = Tile<4, 4, 1, 2>;
  using Row = Tile<4, 1, 1, 2>;
  product.count == 1 ? multiply_f32<Row, Row>(matrix, product) : multiply_f32<T, T>(matrix, product);
}

#ifdef RETORT_X86
// Twelve sums, and what they are made of, in sixteen registers.
RETORT_TARGET_avx2 void multiply_avx2(const Panels& matrix, const Product& product) {
  using T = Tile<8, 6, 1, 2>;
  using Row = Tile<8, 1, 1, 2>;
  product.count == 1 ? multiply_f32<Row, Row>(matrix, product) : multiply_f32<T, T>(matrix, product);
}

RETORT_TARGET_avx512 void multiply_avx512(const Panels& matrix, const Product& product) {
  if (product.count == 1)
    multiply_f32<Tile<16, 1, 2, 2>, Tile<16, 1, 1, 1>>(matrix, product);
  else
    multiply_f32<Tile<16, 8, 2, 2>, Tile<16, 8, 1, 1>>(matrix, product);
}

RETORT_TARGET_bf16 void multiply_bf16(const Panels& matrix, const Product& product) {
  static thread_local std::vector<uint16_t> rounded;
  if (product.count == 1)
    multiply_rounded<Bf16Tile<1, 2>, Bf16Tile<1, 1>>(matrix, product, 0, rounded);
  else
    multiply_rounded<Bf16Tile<8, 2>, Bf16Tile<8, 1>>(matrix, product, 0, rounded);
}

RETORT_TARGET_bf16 void multiply_amx(const Panels& matrix, const Product& product) {
  multiply_by_unit<AmxUnit>(matrix, product);
}
#endif

// Values of a row that make a kernel's step.
int64_t steps_of(Precision precision) {
  return precision == Precision::bf16 ? 2 : 1;
}

// What becomes one panel: either its rows or its columns are runs of values.
struct PanelSource {
  const float* values;
  int64_t column_stride, depth_stride;
  int64_t depth, columns;  // columns: panel_width at most

  bool has_runs_of_columns() const { return depth_stride == 1; }
  const float* column(int64_t c) const { return values + c * column_stride; }
  // Value k of every column; zeros where there are none.
  void row(int64_t k, float* to) const {
    std::fill_n(to, panel_width, 0.0f);
    for (int64_t c = 0; c < (k < depth ? columns : 0); ++c)
      to[c] = values[c * column_stride + k * depth_stride];
  }
};

// Puts a column's steps between those of the others.
template <class Value>
void interleave(const Value* column, int64_t steps, int64_t c, Value* panel) {
  constexpr int64_t step_values = values_per_step<Value>;
  for (int64_t step = 0; step < steps; ++step)
    std::memcpy(panel + (step * panel_width + c) * step_values, column + step * step_values, step_bytes);
}

// Steps that are interleaved at a time: a line of every column, and where they go, are in the nearest cache.
constexpr int64_t steps_together = 16;

void pack_columns(const PanelSource& source, float* panel) {
  for (int64_t first = 0; first < source.depth; first += steps_together)
    for (int64_t c = 0; c < source.columns; ++c)
      interleave(source.column(c) + first, std::min(steps_together, source.depth - first), c,
                 panel + first * panel_width);
}

void pack_columns(const PanelSource& source, uint16_t* panel) {
  uint16_t rounded[2 * steps_together] = {};
  for (int64_t first = 0; first < source.depth; first += 2 * steps_together) {
    const int64_t count = std::min(2 * steps_together, source.depth - first);
    for (int64_t c = 0; c < source.columns; ++c) {
      round_to_bf16(source.column(c) + first, count, rounded);
      if (count % 2 == 1) rounded[count] = 0;
      interleave(rounded, (count + 1) / 2, c, panel + first * panel_width);
    }
  }
}

void pack_rows(const PanelSource& source, float* panel) {
  for (int64_t k = 0; k < source.depth; ++k) source.row(k, panel + k * panel_width);
}

void pack_rows(const PanelSource& source, uint16_t* panel) {
  float even[panel_width], odd[panel_width], pairs[2 * panel_width];
  for (int64_t k = 0; k < source.depth; k += 2) {
    source.row(k, even);
    source.row(k + 1, odd);
    for (int64_t c = 0; c < panel_width; ++c) {
      pairs[2 * c] = even[c];
      pairs[2 * c + 1] = odd[c];
    }
    round_to_bf16(pairs, 2 * panel_width, panel + k * panel_width);
  }
}

template <class Value>
void pack_panel(const PanelSource& source, int64_t size, Value* panel) {
  if (!source.has_runs_of_columns()) return pack_rows(source, panel);
  if (source.columns < panel_width) std::fill_n(panel, size, Value{0});
  pack_columns(source, panel);
}

}  // namespace

std::string to_string(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
    case Precision::f32:
      break;
  }
  return "f32";
}

Precision parse_precision(const std::string& name) {
  if (name == "f32") return Precision::f32;
  if (name == "bf16") return Precision::bf16;
  if (name == "int8") return Precision::int8;
  fail_usage("--precision {}: should be f32, bf16 or int8", name);
}

bool has_precision(CpuPath path, Precision precision) {
  return precision != Precision::bf16 || path >= CpuPath::avx512_bf16;
}

int64_t Panels::panel_size() const {
  const int64_t step = steps_of(precision);
  return (depth + step - 1) / step * step * panel_width;
}

int64_t panel_bytes(int64_t depth, int64_t columns, Precision precision) {
  const Panels panels{depth, columns, precision, nullptr};
  return panels_of(columns) * panels.panel_size() * step_bytes / steps_of(precision);
}

Panels pack_panels(const float* values, int64_t column_stride, int64_t depth_stride, int64_t depth,
                   int64_t columns, Precision precision, std::byte* to) {
  const Panels panels{depth, columns, precision, to};
  for (int64_t panel = 0; panel < panels_of(columns); ++panel) {
    const int64_t first = panel * panel_width;
    const PanelSource source{values + first * column_stride, column_stride, depth_stride, depth,
                             std::min(panel_width, columns - first)};
    if (precision == Precision::bf16)
      pack_panel(source, panels.panel_size(), reinterpret_cast<uint16_t*>(to) + panel * panels.panel_size());
    else
      pack_panel(source, panels.panel_size(), reinterpret_cast<float*>(to) + panel * panels.panel_size());
  }
  return panels;
}

PackedMatrix::PackedMatrix(const float* values, int64_t depth, int64_t columns, Precision precision)
    : pages_(static_cast<size_t>(panel_bytes(depth, columns, precision))),
      panels_(pack_panels(values, depth, 1, depth, columns, precision, pages_.data())) {}

void multiply(CpuPath path, const Panels& matrix, const Product& product) {
#ifdef RETORT_X86
  if (matrix.precision == Precision::bf16)
    return path == CpuPath::amx ? multiply_amx(matrix, product) : multiply_bf16(matrix, product);
  if (path == CpuPath::avx2) return multiply_avx2(matrix, product);
  if (path != CpuPath::portable) return multiply_avx512(matrix, product);
#endif
  static_cast<void>(path);
  multiply_portable(matrix, product);
}

}  // namespace retort
