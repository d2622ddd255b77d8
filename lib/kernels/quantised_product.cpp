#include "kernels/quantised_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/finish.h"
#include "kernels/tiles.h"

namespace retort {
namespace {

constexpr int64_t step_values = 4;

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

// sums (Rows, Panels * 16) of the products of `steps` steps, one row of it after the other.
struct PortableTile {
  static constexpr int64_t rows = 1;
  static constexpr int64_t panels = 1;
  static constexpr int lanes = 4;
  static constexpr int levels = 127;
  static void add(const uint8_t* const* from, const int8_t* panel, int64_t, int64_t steps, int32_t* sums) {
    std::fill_n(sums, panel_width, 0);
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t column = 0; column < panel_width; ++column)
        for (int64_t i = 0; i < step_values; ++i)
          sums[column] +=
              from[0][step * step_values + i] * panel[(step * panel_width + column) * step_values + i];
  }
};

#ifdef RETORT_X86
#define RETORT_TARGET_vnni __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

// Pairs of products are added up in sixteen bits, which hold them since values have seven.
struct Avx2Tile {
  static constexpr int64_t rows = 4;
  static constexpr int64_t panels = 1;
  static constexpr int lanes = 8;
  static constexpr int levels = 127;
  RETORT_TARGET_avx2 static void add(const uint8_t* const* from, const int8_t* panel, int64_t, int64_t steps,
                                     int32_t* sums) {
    __m256i left[rows], right[rows];
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (int64_t r = 0; r < rows; ++r) left[r] = right[r] = _mm256_setzero_si256();
    for (int64_t step = 0; step < steps; ++step) {
      const auto* weights = reinterpret_cast<const __m256i*>(panel + step * panel_width * step_values);
      const __m256i left_weights = _mm256_loadu_si256(weights);
      const __m256i right_weights = _mm256_loadu_si256(weights + 1);
#pragma GCC unroll 4
      for (int64_t r = 0; r < rows; ++r) {
        int four;
        std::memcpy(&four, from[r] + step * step_values, sizeof four);
        const __m256i values = _mm256_set1_epi32(four);
        left[r] =
            _mm256_add_epi32(left[r], _mm256_madd_epi16(_mm256_maddubs_epi16(values, left_weights), ones));
        right[r] =
            _mm256_add_epi32(right[r], _mm256_madd_epi16(_mm256_maddubs_epi16(values, right_weights), ones));
      }
    }
#pragma GCC unroll 4
    for (int64_t r = 0; r < rows; ++r) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * panel_width), left[r]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * panel_width + 8), right[r]);
    }
  }
};

template <int64_t Panels>
struct VnniTile {
  static constexpr int64_t rows = 8;
  static constexpr int64_t panels = Panels;
  static constexpr int lanes = 16;
  static constexpr int levels = 255;
  RETORT_TARGET_vnni static void add(const uint8_t* const* from, const int8_t* panel, int64_t panel_size,
                                     int64_t steps, int32_t* sums) {
    const uint8_t* row[rows];
    __m512i sum[rows][Panels];
#pragma GCC unroll 8
    for (int64_t r = 0; r < rows; ++r) {
      row[r] = from[r];
#pragma GCC unroll 2
      for (int64_t p = 0; p < Panels; ++p) sum[r][p] = _mm512_setzero_si512();
    }
    for (int64_t step = 0; step < steps; ++step) {
      __m512i weights[Panels];
#pragma GCC unroll 2
      for (int64_t p = 0; p < Panels; ++p)
        weights[p] = _mm512_loadu_si512(panel + p * panel_size + step * panel_width * step_values);
#pragma GCC unroll 8
      for (int64_t r = 0; r < rows; ++r) {
        int four;
        std::memcpy(&four, row[r] + step * step_values, sizeof four);
        const __m512i values = _mm512_set1_epi32(four);
#pragma GCC unroll 2
        for (int64_t p = 0; p < Panels; ++p) sum[r][p] = _mm512_dpbusd_epi32(sum[r][p], values, weights[p]);
      }
    }
#pragma GCC unroll 8
    for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int64_t p = 0; p < Panels; ++p)
        _mm512_storeu_si512(sums + (r * Panels + p) * panel_width, sum[r][p]);
  }
};
#endif

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
                                  QuantisedFrames& frames) {
  const int64_t count = std::min(block_rows, product.count - first);
  const int64_t segment = matrix.segment();
  const bool overlap = matrix.segments() > 1;
  const int64_t step = overlap ? product.row_stride / segment : 1;
  const int64_t distance = overlap ? segment : product.row_stride;  // from one frame to the next
  const int64_t all = (count - 1) * step + matrix.segments();
  frames.stride = matrix.steps() * step_values;
  frames.values.resize(static_cast<size_t>(all * frames.stride));
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

#define RETORT_QUANTISED_PRODUCT(suffix, Wide, Narrow)                                                   \
  RETORT_TARGET_##suffix void multiply_##suffix(const QuantisedMatrix& matrix, const Product& product) { \
    static thread_local QuantisedFrames frames;                                                          \
    for (int64_t first = 0; first < product.count; first += block_rows)                                  \
      multiply_block<Wide, Narrow>(matrix, product, first, frames);                                      \
  }

RETORT_QUANTISED_PRODUCT(portable, PortableTile, PortableTile)
#ifdef RETORT_X86
RETORT_QUANTISED_PRODUCT(avx2, Avx2Tile, Avx2Tile)
RETORT_QUANTISED_PRODUCT(vnni, VnniTile<2>, VnniTile<1>)
#endif

float largest_size(const float* values, int64_t count) {
  float size = 0;
  for (int64_t k = 0; k < count; ++k) size = std::max(size, std::abs(values[k]));
  return size;
}

// values / scale, rounded with halves away from zero as std::lround does; in steps that can be vectorised.
// Returns their sum.
int32_t round_weights(const float* values, int64_t count, float scale, int8_t* to) {
  int32_t sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const float x = scale > 0 ? values[k] / scale : 0;
    const auto whole = static_cast<int32_t>(x);
    const float rest = x - static_cast<float>(whole);
    const int32_t w = whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
    to[k] = static_cast<int8_t>(w);
    sum += w;
  }
  return sum;
}

}  // namespace

int64_t QuantisedMatrix::panel_size() const {
  return segments_ * steps() * panel_width * step_values;
}

QuantisedMatrix::QuantisedMatrix(const float* values, int64_t depth, int64_t columns, int64_t segment)
    : columns_(columns), segment_(segment), segments_(depth / segment) {
  constexpr float largest = 127;
  const int64_t padded = panels_of(columns) * panel_width;
  pages_ = Pages(static_cast<size_t>(panels_of(columns) * panel_size()));
  scales_.assign(static_cast<size_t>(padded), 0);
  sums_.assign(static_cast<size_t>(segments_ * padded), 0);
  std::vector<int8_t> rounded(static_cast<size_t>(steps() * step_values));  // of one segment; zeros behind it
  for (int64_t column = 0; column < columns; ++column) {
    const float* from = values + column * depth;
    const float scale = largest_size(from, depth) / largest;
    scales_[static_cast<size_t>(column)] = scale;
    auto* to = reinterpret_cast<int8_t*>(pages_.data()) + column / panel_width * panel_size() +
               column % panel_width * step_values;
    for (int64_t s = 0; s < segments_; ++s) {
      sums_[static_cast<size_t>(s * padded + column)] =
          static_cast<float>(round_weights(from + s * segment, segment, scale, rounded.data()));
      for (int64_t step = 0; step < steps(); ++step, to += panel_width * step_values)
        std::memcpy(to, rounded.data() + step * step_values, step_values);
    }
  }
}

void multiply(CpuPath path, const QuantisedMatrix& matrix, const Product& product) {
#ifdef RETORT_X86
  if (has_vnni(path)) return multiply_vnni(matrix, product);
  if (path != CpuPath::portable) return multiply_avx2(matrix, product);
#endif
  static_cast<void>(path);
  multiply_portable(matrix, product);
}

}  // namespace retort
