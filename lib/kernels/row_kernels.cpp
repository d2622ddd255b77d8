#include "kernels/row_kernels.h"

#include <algorithm>
#include <cmath>

#include "kernels/vector_math.h"

namespace retort {
namespace {

// Calls body(vector of values, first, count) for `count` values in runs of `Lanes`; the last run is filled up
// with `filling`. What body leaves in the vector goes to `out`, if there is one.
template <int Lanes, class Body>
RETORT_INLINE void for_each_run(const float* values, int64_t count, float filling, float* out,
                                const Body& body) {
  Vector<Lanes> x;
  int64_t first = 0;
  for (; first + Lanes <= count; first += Lanes) {
    load(values + first, x);
    body(x, first, int64_t{Lanes});
    if (out) store(x, out + first);
  }
  if (first == count) return;
  float rest[Lanes];
  std::fill_n(rest, Lanes, filling);
  std::copy_n(values + first, count - first, rest);
  load(rest, x);
  body(x, first, count - first);
  store(x, rest);
  if (out) std::copy_n(rest, count - first, out + first);
}

template <int Lanes>
RETORT_INLINE float sum_of(const Vector<Lanes>& x) {
  float sum = 0;
  for (int lane = 0; lane < Lanes; ++lane) sum += x[lane];
  return sum;
}

// `count` of the values at `from` (null: `otherwise`), the rest 0.
template <int Lanes>
RETORT_INLINE void load_some(const float* from, int64_t first, int64_t count, float otherwise,
                             Vector<Lanes>& x) {
  x = Vector<Lanes>{} + otherwise;
  if (!from) return;
  if (count == Lanes) {
    load(from + first, x);
  } else {
    for (int64_t lane = 0; lane < count; ++lane) x[lane] = from[first + lane];
  }
}

template <int Lanes>
RETORT_INLINE void normalise_row(const LayerNorm& norm, const float* row, bool with_gelu, float* out) {
  const auto width = static_cast<float>(norm.width);
  Vector<Lanes> sums{};
  for_each_run<Lanes>(row, norm.width, 0, nullptr,
                      [&](const Vector<Lanes>& x, int64_t, int64_t) RETORT_INLINE_LAMBDA { sums += x; });
  const float mean = sum_of<Lanes>(sums) / width;
  Vector<Lanes> squares{};
  for_each_run<Lanes>(row, norm.width, mean, nullptr,
                      [&](const Vector<Lanes>& x, int64_t, int64_t)
                          RETORT_INLINE_LAMBDA { squares += (x - mean) * (x - mean); });
  const float scale = 1.0f / std::sqrt(sum_of<Lanes>(squares) / width + norm.eps);
  for_each_run<Lanes>(row, norm.width, 0, out,
                      [&](Vector<Lanes>& x, int64_t first, int64_t count) RETORT_INLINE_LAMBDA {
                        Vector<Lanes> weight, bias;
                        load_some<Lanes>(norm.weight, first, count, 1, weight);
                        load_some<Lanes>(norm.bias, first, count, 0, bias);
                        x = (x - mean) * scale * weight + bias;
                        if (with_gelu) gelu<Lanes>(x);
                      });
}

template <int Lanes>
RETORT_INLINE void softmax_row(float* row, int64_t width) {
  Vector<Lanes> highest = Vector<Lanes>{} - INFINITY;
  for_each_run<Lanes>(row, width, -INFINITY, nullptr,
                      [&](const Vector<Lanes>& x, int64_t, int64_t)
                          RETORT_INLINE_LAMBDA { highest = x > highest ? x : highest; });
  float top = highest[0];
  for (int lane = 1; lane < Lanes; ++lane) top = std::max(top, highest[lane]);
  Vector<Lanes> sums{};
  for_each_run<Lanes>(row, width, -INFINITY, row,
                      [&](Vector<Lanes>& x, int64_t, int64_t) RETORT_INLINE_LAMBDA {
                        x -= top;
                        exponential<Lanes>(x, x);
                        sums += x;
                      });
  const float scale = 1.0f / sum_of<Lanes>(sums);
  for_each_run<Lanes>(row, width, 0, row,
                      [&](Vector<Lanes>& x, int64_t, int64_t) RETORT_INLINE_LAMBDA { x *= scale; });
}

template <int Lanes>
RETORT_INLINE void step_cells(const float* gates, int64_t units, float* cells, float* outputs) {
  for_each_run<Lanes>(cells, units, 0, cells,
                      [&](Vector<Lanes>& cell, int64_t first, int64_t count) RETORT_INLINE_LAMBDA {
                        Vector<Lanes> in, forget, candidate, output;
                        load_some<Lanes>(gates, first, count, 0, in);
                        load_some<Lanes>(gates + units, first, count, 0, forget);
                        load_some<Lanes>(gates + 2 * units, first, count, 0, candidate);
                        load_some<Lanes>(gates + 3 * units, first, count, 0, output);
                        sigmoid<Lanes>(in);
                        sigmoid<Lanes>(forget);
                        hyperbolic_tangent<Lanes>(candidate);
                        sigmoid<Lanes>(output);
                        cell = forget * cell + in * candidate;
                        Vector<Lanes> squashed = cell;
                        hyperbolic_tangent<Lanes>(squashed);
                        output *= squashed;
                        for (int64_t lane = 0; lane < count; ++lane) outputs[first + lane] = output[lane];
                      });
}

struct RowKernels {
  void (*normalise)(const LayerNorm& norm, const float* row, bool gelu, float* out);
  void (*gelu)(float* values, int64_t count);
  void (*softmax)(float* row, int64_t width);
  void (*step_cells)(const float* gates, int64_t units, float* cells, float* outputs);
};

// One version of everything, as functions with the target attribute of its name.
#define RETORT_ROW_KERNELS(suffix, Lanes)                                                                 \
  RETORT_TARGET_##suffix void normalise_##suffix(const LayerNorm& norm, const float* row, bool with_gelu, \
                                                 float* out) {                                            \
    normalise_row<Lanes>(norm, row, with_gelu, out);                                                      \
  }                                                                                                       \
  RETORT_TARGET_##suffix void gelu_##suffix(float* values, int64_t count) {                               \
    for_each_run<Lanes>(values, count, 0, values,                                                         \
                        [](Vector<Lanes>& x, int64_t, int64_t) RETORT_INLINE_LAMBDA { gelu<Lanes>(x); }); \
  }                                                                                                       \
  RETORT_TARGET_##suffix void softmax_##suffix(float* row, int64_t width) {                               \
    softmax_row<Lanes>(row, width);                                                                       \
  }                                                                                                       \
  RETORT_TARGET_##suffix void step_cells_##suffix(const float* gates, int64_t units, float* cells,        \
                                                  float* outputs) {                                       \
    step_cells<Lanes>(gates, units, cells, outputs);                                                      \
  }                                                                                                       \
  constexpr RowKernels kernels_##suffix{normalise_##suffix, gelu_##suffix, softmax_##suffix,              \
                                        step_cells_##suffix};

RETORT_ROW_KERNELS(portable, 4)
#ifdef RETORT_X86
RETORT_ROW_KERNELS(avx2, 8)
RETORT_ROW_KERNELS(avx512, 16)
#endif

const RowKernels& row_kernels(CpuPath path) {
#ifdef RETORT_X86
  if (path == CpuPath::avx2) return kernels_avx2;
  if (path != CpuPath::portable) return kernels_avx512;
#endif
  static_cast<void>(path);
  return kernels_portable;
}

}  // namespace

void normalise_rows(CpuPath path, const LayerNorm& norm, const float* rows, int64_t stride, int64_t count,
                    bool gelu, float* out, int64_t out_stride) {
  const RowKernels& kernels = row_kernels(path);
  for (int64_t r = 0; r < count; ++r) kernels.normalise(norm, rows + r * stride, gelu, out + r * out_stride);
}

void gelu_values(CpuPath path, float* values, int64_t count) {
  row_kernels(path).gelu(values, count);
}

void softmax_rows(CpuPath path, float* rows, int64_t stride, int64_t count, int64_t width) {
  const RowKernels& kernels = row_kernels(path);
  for (int64_t r = 0; r < count; ++r) kernels.softmax(rows + r * stride, width);
}

void step_lstm_cells(CpuPath path, const float* gates, int64_t units, float* cells, float* outputs) {
  row_kernels(path).step_cells(gates, units, cells, outputs);
}

}  // namespace retort
