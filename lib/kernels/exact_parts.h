// How values are cut into parts that add up without rounding: the layout that exact sums have wherever they
// are taken (kmeans/exact_sums.h, kmeans_kernels.h).
#pragma once

#include <cstdint>

#include "kernels/simt.h"

namespace retort {

// Bin b holds multiples of 2^(24 b + 6): from below the smallest f32, 2^-149, to beyond 2^128. Features are
// below 2^6 mostly: then two bins hold all but the smallest.
inline constexpr int sum_bin_bits = 24;
inline constexpr int sum_bin_offset = 6;
inline constexpr int lowest_sum_bin = -7;
inline constexpr int highest_sum_bin = 5;
inline constexpr int sum_bins = highest_sum_bin - lowest_sum_bin + 1;

// Sums of doubles: digits of 2^32 from the smallest double on, 1074 + 1024 bits, and room above for many
// values.
inline constexpr int sum_digit_bits = 32;
inline constexpr int lowest_sum_exponent = -1074;
inline constexpr int sum_digits = 70;

// 2^exponent, of a normal double.
RETORT_DEVICE double power_of_two(int exponent) {
  return simt::same_bits<double>(static_cast<int64_t>(exponent + 1023) << 52);
}

// The lowest bin whose multiples, 2^24 of them, reach beyond `magnitude` > 0.
RETORT_DEVICE int sum_bin_of(float magnitude) {
  const auto bits = simt::same_bits<int64_t>(static_cast<double>(magnitude));
  const int exponent = static_cast<int>(bits >> 52) - 1023 - sum_bin_offset;
  return exponent >= 0 ? exponent / sum_bin_bits : -((sum_bin_bits - 1 - exponent) / sum_bin_bits);
}

// The exponent of a bin's unit.
RETORT_DEVICE int sum_bin_exponent(int bin) {
  return sum_bin_bits * bin + sum_bin_offset;
}

// A value as multiples of the units of two bins that follow each other, and what is left.
struct ValueParts {
  double high;
  double low;
  float rest;
};

// Adding and taking away 1.5 * 2^52 times a power of two rounds to a multiple of that power. No
// multiplication may be fused into these additions.
RETORT_DEVICE ValueParts cut_value(float value, int high_bin) {
  const double high_rounder = 1.5 * power_of_two(52 + sum_bin_exponent(high_bin));
  const double low_rounder = 1.5 * power_of_two(52 + sum_bin_exponent(high_bin - 1));
  const double high = (static_cast<double>(value) + high_rounder) - high_rounder;
  const double rest = static_cast<double>(value) - high;
  const double low = (rest + low_rounder) - low_rounder;
  return {high, low, static_cast<float>(rest - low)};
}

}  // namespace retort
