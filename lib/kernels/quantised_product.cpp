#include "kernels/quantised_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/amx_product.h"
#include "kernels/quantised_rows.h"

namespace retort {
namespace {

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

#define RETORT_QUANTISED_PRODUCT(suffix, Wide, Narrow)                                                   \
  RETORT_TARGET_##suffix void multiply_##suffix(const QuantisedMatrix& matrix, const Product& product) { \
    static thread_local QuantisedFrames frames;                                                          \
    multiply_quantised<Wide, Narrow>(matrix, product, 0, frames);                                        \
  }

RETORT_QUANTISED_PRODUCT(portable, PortableTile, PortableTile)
#ifdef RETORT_X86
RETORT_QUANTISED_PRODUCT(avx2, Avx2Tile, Avx2Tile)
RETORT_QUANTISED_PRODUCT(vnni, VnniTile<2>, VnniTile<1>)

RETORT_TARGET_vnni void multiply_amx(const QuantisedMatrix& matrix, const Product& product) {
  multiply_by_unit<AmxUnit>(matrix, product);
}
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
  if (path == CpuPath::amx) return multiply_amx(matrix, product);
  if (has_vnni(path)) return multiply_vnni(matrix, product);
  if (path != CpuPath::portable) return multiply_avx2(matrix, product);
#endif
  static_cast<void>(path);
  multiply_portable(matrix, product);
}

}  // namespace retort
