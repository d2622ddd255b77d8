// How tiles make a product in eight bits: rows are quantised frame by frame, and sums of a segment are scaled
// as they come. Part of the kernels that use it, each with tiles of its own.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/finish.h"
#include "kernels/panel.h"
#include "kernels/quantised_product.h"
#include "kernels/vector_math.h"

namespace retort {

inline constexpr int64_t step_values = 4;

// A frame's values q in steps of four: x = scale q + offset.
struct QuantisedFrames {
  std::vector<uint8_t> values;
  std::vector<float> scales, offsets;
  int64_t stride = 0;  // values
};

// Rounds `count` values to `levels` steps between their least and their greatest.
template <int Lanes>
RETORT_INLINE void quantise(const float* from, int64_t count, int levels, uint8_t* to, float& scale,
                            float& offset) {
  Vector<Lanes> lowest, highest;
  float least = from[0];
  float greatest = from[0];
  int64_t i = 0;
  if (count >= Lanes) {
    load(from, lowest);
    highest = lowest;
    for (; i + Lanes <= count; i += Lanes) {
      Vector<Lanes> x;
      load(from + i, x);
      lowest = x < lowest ? x : lowest;
      highest = x > highest ? x : highest;
    }
    for (int lane = 0; lane < Lanes; ++lane) {
      least = std::min(least, lowest[lane]);
      greatest = std::max(greatest, highest[lane]);
    }
  }
  for (; i < count; ++i) {
    least = std::min(least, from[i]);
    greatest = std::max(greatest, from[i]);
  }
  scale = (greatest - least) / static_cast<float>(levels);
  offset = least;
  const float factor = scale > 0 ? 1 / scale : 0;
  using Bytes = typename Floats<Lanes>::Bytes;
  i = 0;
  for (; i + Lanes <= count; i += Lanes) {
    Vector<Lanes> x;
    load(from + i, x);
    const Ints<Lanes> q = __builtin_convertvector((x - least) * factor + 0.5f, Ints<Lanes>);
    const Bytes bytes = __builtin_convertvector(q, Bytes);
    store(bytes, to + i);
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>((from[i] - least) * factor + 0.5f);
}

// Rows of a block of the product: row i begins at frame i * step, and has a frame for each segment.
struct Windows {
  const QuantisedFrames& frames;
  int64_t step;
  int64_t count;
};

// Adds the sums of a segment, x w = (scale q + offset) w, to those before it.
template <int Lanes>
RETORT_INLINE void add_segment(const int32_t* products, float scale, float offset, const float* weight_sums,
                               int64_t columns, float* sums) {
  for (int64_t first = 0; first < columns; first += Lanes) {
    Ints<Lanes> q;
    Vector<Lanes> weights, sum;
    load(products + first, q);
    load(weight_sums + first, weights);
    load(sums + first, sum);
    sum += scale * __builtin_convertvector(q, Vector<Lanes>) + offset * weights;
    store(sum, sums + first);
  }
}

// The columns of a product that one tile makes.
template <class T>
RETORT_INLINE void multiply_columns(const Windows& windows, const QuantisedMatrix& matrix, int64_t panel,
                                    const Product& product, int64_t first_row) {
  constexpr int64_t width = T::panels * panel_width;
  alignas(64) int32_t products[T::rows * width];
  alignas(64) float sums[block_rows * width];
  const int64_t column = panel * panel_width;
  std::fill_n(sums, windows.count * width, 0.0f);
  for (int64_t segment = 0; segment < matrix.segments(); ++segment) {
    const int8_t* weights = matrix.panel(panel) + segment * matrix.steps() * panel_width * step_values;
    for (int64_t r = 0; r < windows.count; r += T::rows) {
      const uint8_t* from[T::rows];
      for (int64_t i = 0; i < T::rows; ++i) {
        const int64_t row = std::min(r + i, windows.count - 1);
        from[i] = windows.frames.values.data() + (row * windows.step + segment) * windows.frames.stride;
      }
      T::add(from, weights, matrix.panel_size(), matrix.steps(), products);
      for (int64_t i = 0; i < std::min(T::rows, windows.count - r); ++i) {
        const auto frame = static_cast<size_t>((r + i) * windows.step + segment);
        add_segment<T::lanes>(products + i * width, windows.frames.scales[frame],
                              windows.frames.offsets[frame], matrix.sums(segment) + column, width,
                              sums + (r + i) * width);
      }
    }
  }
  const Part part{first_row, column, std::min(width, matrix.columns() - column)};
  alignas(64) float bias[width] = {};
  if (product.bias) std::copy_n(product.bias + column, part.columns, bias);
  for (int64_t r = 0; r < windows.count; ++r) {
    for (int64_t first = 0; first < width; first += T::lanes) {
      Vector<T::lanes> sum, scale, start;
      load(sums + r * width + first, sum);
      load(matrix.scales() + column + first, scale);
      load(bias + first, start);
      sum = sum * scale + start;
      store(sum, sums + r * width + first);
    }
    finish_row<T::lanes>(sums + r * width, product, first_row + r, part);
  }
}

// A block of rows by Wide and, where panels are left that do not fill one, by Narrow.
template <class Wide, class Narrow>
RETORT_INLINE void multiply_block(const QuantisedMatrix& matrix, const Product& product, int64_t first,
                                  int64_t rows_behind, QuantisedFrames& frames) {
  const int64_t count = std::min(block_rows, product.count - first);
  const int64_t segment = matrix.segment();
  const bool overlap = matrix.segments() > 1;
  const int64_t step = overlap ? product.row_stride / segment : 1;
  const int64_t distance = overlap ? segment : product.row_stride;  // from one frame to the next
  const int64_t all = (count - 1) * step + matrix.segments();
  frames.stride = matrix.steps() * step_values;
  frames.values.resize(static_cast<size_t>((all + rows_behind * step) * frames.stride));
  frames.scales.resize(static_cast<size_t>(all));
  frames.offsets.resize(static_cast<size_t>(all));
  for (int64_t frame = 0; frame < all; ++frame) {
    const auto at = static_cast<size_t>(frame);
    quantise<Wide::lanes>(product.rows + first * product.row_stride + frame * distance, segment, Wide::levels,
                          frames.values.data() + frame * frames.stride, frames.scales[at],
                          frames.offsets[at]);
  }
  const Windows windows{frames, step, count};
  const int64_t panels = panels_of(matrix.columns());
  int64_t panel = 0;
  for (; panel + Wide::panels <= panels; panel += Wide::panels)
    multiply_columns<Wide>(windows, matrix, panel, product, first);
  for (; panel < panels; panel += Narrow::panels)
    multiply_columns<Narrow>(windows, matrix, panel, product, first);
}

// The whole product. Tiles may read `rows_behind` rows more than they are given.
template <class Wide, class Narrow>
RETORT_INLINE void multiply_quantised(const QuantisedMatrix& matrix, const Product& product,
                                      int64_t rows_behind, QuantisedFrames& frames) {
  for (int64_t first = 0; first < product.count; first += block_rows)
    multiply_block<Wide, Narrow>(matrix, product, first, rows_behind, frames);
}

}  // namespace retort
