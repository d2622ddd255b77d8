#include "kernels/score_panel.h"

#include <algorithm>
#include <cstring>

#include "kernels/tiles.h"
#include "kernels/vector_math.h"

namespace retort {
namespace {

template <class Vector>
RETORT_INLINE void lesser(const Vector& a, const Vector& b, Vector& out) {
  out = a < b ? a : b;
}

template <class Vector>
RETORT_INLINE void greater(const Vector& a, const Vector& b, Vector& out) {
  out = a > b ? a : b;
}

// Folds the two lowest of 2 n lanes into n lanes: of two sorted pairs, the lowest is the lesser of the
// lowest, the second the least of what remains.
template <class Vector>
RETORT_INLINE void fold(const Vector& other_lowest, const Vector& other_second, Vector& lowest,
                        Vector& second) {
  Vector upper;
  greater(lowest, other_lowest, upper);
  lesser(lowest, other_lowest, lowest);
  lesser(second, other_second, second);
  lesser(second, upper, second);
}

RETORT_INLINE void find_two_lowest(const float* scores, PanelMinima& out) {
  Int16 bits;
  load(scores, bits);
  bits = (bits & ~15) | Int16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Float8 halves[2];
  std::memcpy(halves, &bits, sizeof bits);
  Float8 low8, high8;
  lesser(halves[0], halves[1], low8);
  greater(halves[0], halves[1], high8);
  Float4 low[2], high[2];
  std::memcpy(low, &low8, sizeof low);
  std::memcpy(high, &high8, sizeof high);
  fold(low[1], high[1], low[0], high[0]);
  fold<Float4>(__builtin_shufflevector(low[0], low[0], 2, 3, 0, 1),
               __builtin_shufflevector(high[0], high[0], 2, 3, 0, 1), low[0], high[0]);
  fold<Float4>(__builtin_shufflevector(low[0], low[0], 1, 0, 3, 2),
               __builtin_shufflevector(high[0], high[0], 1, 0, 3, 2), low[0], high[0]);
  out = {low[0][0], high[0][0]};
}

// Minima of the `count` <= T::rows rows at `rows`; a tile that is not full computes its last row again.
template <class T, class Value>
RETORT_INLINE void minima_of_tile(const Value* const* rows, int64_t count, const Value* panel,
                                  const float* norms, int64_t length, PanelMinima* out) {
  const Value* full[T::rows];
  for (int64_t r = 0; r < T::rows; ++r) full[r] = rows[std::min(r, count - 1)];
  float scores[T::rows * panel_width];
  constexpr int64_t no_other_panel = 0;
  T::add(full, panel, no_other_panel, {norms, 0}, length, scores);
  for (int64_t r = 0; r < count; ++r) find_two_lowest(scores + r * panel_width, out[r]);
}

// By T, the few rows that remain by Small.
template <class T, class Small, class Value>
RETORT_INLINE void all_minima(const Value* const* rows, int64_t count, const Value* panel, const float* norms,
                              int64_t length, PanelMinima* out) {
  int64_t first = 0;
  for (; count - first > Small::rows; first += T::rows)
    minima_of_tile<T>(rows + first, std::min(T::rows, count - first), panel, norms, length, out + first);
  if (first < count) minima_of_tile<Small>(rows + first, count - first, panel, norms, length, out + first);
}

// Four sums side by side, so that none waits for the one before it; a register's columns at a time.
template <class Vector>
RETORT_INLINE void scores_of_row(const float* row, const float* panel, const float* norms, int64_t dim,
                                 float* out) {
  constexpr int64_t lanes = sizeof(Vector) / sizeof(float);
  for (int64_t first = 0; first < panel_width; first += lanes) {
    Vector sums[4] = {};
    Vector weights;
    load(norms + first, sums[0]);
    int64_t j = 0;
    for (; j + 4 <= dim; j += 4) {
#pragma GCC unroll 4
      for (int64_t step = 0; step < 4; ++step) {
        load(panel + (j + step) * panel_width + first, weights);
        sums[step] += row[j + step] * weights;
      }
    }
    for (; j < dim; ++j) {
      load(panel + j * panel_width + first, weights);
      sums[0] += row[j] * weights;
    }
    sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    std::memcpy(out + first, &sums[0], sizeof sums[0]);
  }
}

template <class Vector>
RETORT_INLINE float sum_of(const Vector& lanes) {
  float sum = 0;
  for (size_t lane = 0; lane < sizeof(Vector) / sizeof(float); ++lane) sum += lanes[lane];
  return sum;
}

template <class Vector>
RETORT_INLINE float dot_product(const float* a, const float* b, int64_t dim) {
  constexpr int64_t lanes = sizeof(Vector) / sizeof(float);
  Vector sums[2] = {};
  int64_t j = 0;
  for (; j + 2 * lanes <= dim; j += 2 * lanes) {
#pragma GCC unroll 2
    for (int64_t step = 0; step < 2; ++step) {
      Vector left, right;
      load(a + j + step * lanes, left);
      load(b + j + step * lanes, right);
      sums[step] += left * right;
    }
  }
  float sum = sum_of(sums[0]) + sum_of(sums[1]);
  for (; j < dim; ++j) sum += a[j] * b[j];
  return sum;
}

template <class Vector>
RETORT_INLINE float centre_row(const float* row, const float* mean, int64_t dim, float* centred) {
  for (int64_t j = 0; j < dim; ++j) centred[j] = row[j] - mean[j];
  return dot_product<Vector>(centred, centred, dim);
}

// The tiles of a panel in registers of sixteen, eight and four lanes.
template <int64_t Rows>
using WholeTile = Tile<16, Rows, 1, 1>;
template <int64_t Rows>
using HalvedTile = Tile<8, Rows, 1, 2>;
template <int64_t Rows>
using QuarteredTile = Tile<4, Rows, 1, 2>;

// One version of everything in f32, as functions with the target attribute of its name.
#define RETORT_F32_KERNELS(suffix, Vector, Whole, Small)                                                   \
  RETORT_TARGET_##suffix void minima_##suffix(const float* const* rows, int64_t count, const float* panel, \
                                              const float* norms, int64_t dim, PanelMinima* out) {         \
    all_minima<Whole, Small>(rows, count, panel, norms, dim, out);                                         \
  }                                                                                                        \
  RETORT_TARGET_##suffix void scores_##suffix(const float* row, const float* panel, const float* norms,    \
                                              int64_t dim, float* out) {                                   \
    scores_of_row<Vector>(row, panel, norms, dim, out);                                                    \
  }                                                                                                        \
  RETORT_TARGET_##suffix float centre_##suffix(const float* row, const float* mean, int64_t dim,           \
                                               float* centred) {                                           \
    return centre_row<Vector>(row, mean, dim, centred);                                                    \
  }                                                                                                        \
  RETORT_TARGET_##suffix float dot_##suffix(const float* a, const float* b, int64_t dim) {                 \
    return dot_product<Vector>(a, b, dim);                                                                 \
  }

RETORT_F32_KERNELS(portable, Float4, QuarteredTile<4>, QuarteredTile<2>)

#ifdef RETORT_X86
// Twelve sums in sixteen registers.
RETORT_F32_KERNELS(avx2, Float8, HalvedTile<6>, HalvedTile<3>)
// Eight sums keep the units busy; more pointers to rows than that do not fit the other registers.
RETORT_F32_KERNELS(avx512, Float16, WholeTile<8>, WholeTile<4>)

RETORT_TARGET_bf16 void minima_bf16(const uint16_t* const* rows, int64_t count, const uint16_t* panel,
                                    const float* norms, int64_t pairs, PanelMinima* out) {
  all_minima<Bf16Tile<8, 1>, Bf16Tile<4, 1>>(rows, count, panel, norms, pairs, out);
}

RETORT_TARGET_bf16 float round_row(const float* values, int64_t dim, uint16_t* rounded) {
  Float16 lost{};
  round_to_bf16(values, dim, rounded,
                [&](const Float16& change) RETORT_INLINE_LAMBDA { lost += change * change; });
  return sum_of(lost);
}
#endif

}  // namespace

int64_t column_of(float score) {
  uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  return bits & 15;
}

const ScoreKernels& score_kernels(CpuPath path) {
  static const ScoreKernels portable{CpuPath::portable, minima_portable, scores_portable, nullptr,
                                     centre_portable,   nullptr,         dot_portable};
#ifdef RETORT_X86
  static const ScoreKernels avx2{CpuPath::avx2, minima_avx2, scores_avx2, nullptr,
                                 centre_avx2,   nullptr,     dot_avx2};
  static const ScoreKernels avx512{CpuPath::avx512, minima_avx512, scores_avx512, nullptr,
                                   centre_avx512,   nullptr,       dot_avx512};
  static const ScoreKernels avx512_bf16{CpuPath::avx512_bf16, minima_avx512, scores_avx512, minima_bf16,
                                        centre_avx512,        round_row,     dot_avx512};
  if (path == CpuPath::avx2) return avx2;
  if (path == CpuPath::avx512) return avx512;
  if (path >= CpuPath::avx512_bf16) return avx512_bf16;
#endif
  static_cast<void>(path);
  return portable;
}

}  // namespace retort
