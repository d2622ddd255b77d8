// Functions of networks, element by element, on GCC's vectors: part of the kernels that use them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/simd.h"
#include "kernels/tiles.h"

namespace retort {

// Rounds sixteen values to bf16 (nearest, ties to even); `change` is what they lose.
RETORT_INLINE void round_sixteen(const float* values, uint16_t* rounded, Float16& change) {
  using Short16 = uint16_t __attribute__((vector_size(32), aligned(2)));
  using Bits16 = uint32_t __attribute__((vector_size(64), aligned(4)));
  Float16 value, back;
  Bits16 bits;
  load(values, value);
  load(values, bits);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Short16 half = __builtin_convertvector(bits, Short16);
  store(half, rounded);
  bits <<= 16;
  std::memcpy(&back, &bits, sizeof back);
  change = value - back;
}

// Calls take(change) for the values in runs of sixteen, the last filled up with zeros.
template <class Take>
RETORT_INLINE void round_to_bf16(const float* values, int64_t count, uint16_t* rounded, const Take& take) {
  Float16 change;
  int64_t j = 0;
  for (; j + 16 <= count; j += 16) {
    round_sixteen(values + j, rounded + j, change);
    take(change);
  }
  if (j < count) {
    float rest[16] = {};
    uint16_t rounded_rest[16];
    std::copy_n(values + j, count - j, rest);
    round_sixteen(rest, rounded_rest, change);
    std::copy_n(rounded_rest, count - j, rounded + j);
    take(change);
  }
}

RETORT_INLINE void round_to_bf16(const float* values, int64_t count, uint16_t* rounded) {
  round_to_bf16(values, count, rounded, [](const Float16&) RETORT_INLINE_LAMBDA {});
}

template <int Lanes>
using Vector = typename Floats<Lanes>::Vector;
template <int Lanes>
using Ints = typename Floats<Lanes>::Ints;

template <int Lanes>
RETORT_INLINE void clamp(Vector<Lanes>& x, float lowest, float highest) {
  x = x < lowest ? Vector<Lanes>{} + lowest : x;
  x = x > highest ? Vector<Lanes>{} + highest : x;
}

// e^x within 2 units in the last place; 0 below -87.3, as large as a float can be above 88.3.
template <int Lanes>
RETORT_INLINE void exponential(const Vector<Lanes>& x, Vector<Lanes>& out) {
  Vector<Lanes> bounded = x;
  clamp<Lanes>(bounded, -87.33f, 88.3f);
  // e^x = 2^n e^r, |r| <= ln(2) / 2. Adding and taking 1.5 * 2^23 rounds to a whole number; ln 2 is taken
  // in two parts, the first of which times n is exact.
  Vector<Lanes> whole = bounded * 1.44269504f + 12582912.0f;
  const Ints<Lanes> n = __builtin_convertvector(whole - 12582912.0f, Ints<Lanes>);
  whole -= 12582912.0f;
  const Vector<Lanes> r = (bounded - whole * 0.693359375f) + whole * 2.12194440e-4f;
  // Taylor's polynomial, its last coefficients moved so that its largest error on the interval is least.
  Vector<Lanes> sum = Vector<Lanes>{} + 1.9875691500e-4f;
  sum = sum * r + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  sum = sum * r * r + r + 1.0f;
  const Ints<Lanes> power = (n + 127) << 23;
  Vector<Lanes> scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  out = x < -87.33f ? Vector<Lanes>{} : sum * scale;
}

// erf within 1.5e-7: an odd rational function, which reaches 1 at the bound.
template <int Lanes>
RETORT_INLINE void error_function(const Vector<Lanes>& x, Vector<Lanes>& out) {
  Vector<Lanes> z = x;
  clamp<Lanes>(z, -4.0f, 4.0f);
  const Vector<Lanes> square = z * z;
  Vector<Lanes> above = Vector<Lanes>{} + -2.72614225801306e-10f;
  above = above * square + 2.77068142495902e-08f;
  above = above * square + -2.10102402082508e-06f;
  above = above * square + -5.69250639462346e-05f;
  above = above * square + -7.34990630326855e-04f;
  above = above * square + -2.95459980854025e-03f;
  above = above * square + -1.60960333262415e-02f;
  Vector<Lanes> below = Vector<Lanes>{} + -1.45660718464996e-05f;
  below = below * square + -2.13374055278905e-04f;
  below = below * square + -1.68282697438203e-03f;
  below = below * square + -7.37332916720468e-03f;
  below = below * square + -1.42647390514189e-02f;
  out = z * above / below;
}

template <int Lanes>
RETORT_INLINE void gelu(Vector<Lanes>& x) {
  Vector<Lanes> erf;
  error_function<Lanes>(x * 0.70710678f, erf);
  x = 0.5f * x * (1.0f + erf);
}

template <int Lanes>
RETORT_INLINE void sigmoid(Vector<Lanes>& x) {
  Vector<Lanes> e;
  exponential<Lanes>(-x, e);
  x = 1.0f / (1.0f + e);
}

// 2 sigmoid(2 x) - 1 loses what small x are made of, so they go by the series.
template <int Lanes>
RETORT_INLINE void hyperbolic_tangent(Vector<Lanes>& x) {
  Vector<Lanes> twice = x + x;
  sigmoid<Lanes>(twice);
  const Vector<Lanes> far = 2.0f * twice - 1.0f;
  const Vector<Lanes> square = x * x;
  const Vector<Lanes> near =
      x * (1.0f + square * (-0.333333333f + square * (0.133333333f + square * -0.0539682540f)));
  const Vector<Lanes> size = x < 0.0f ? -x : x;
  x = size < 0.25f ? near : far;
}

}  // namespace retort
