#include "store/half.h"

#include <bit>

namespace retort {
namespace {

constexpr uint32_t f32_infinity = 0x7f800000;

// Drops the lowest `bits` bits, rounding to nearest and ties to even.
uint32_t shift_rounding(uint32_t value, unsigned bits) {
  const uint32_t half = 1u << (bits - 1);
  const uint32_t kept = value >> bits;
  const uint32_t rest = value & ((1u << bits) - 1);
  return kept + (rest > half || (rest == half && (kept & 1)) ? 1 : 0);
}

}  // namespace

uint16_t f16_from_f32(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > f32_infinity) return static_cast<uint16_t>(sign | 0x7e00);  // NaN
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  if (exponent > 15) return static_cast<uint16_t>(sign | 0x7c00);
  if (exponent >= -14)  // a carry out of the mantissa raises the exponent, up to infinity, as it should
    return static_cast<uint16_t>(sign | shift_rounding(magnitude - (112u << 23), 13));
  if (exponent < -25) return sign;
  const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
  return static_cast<uint16_t>(sign | shift_rounding(mantissa, static_cast<unsigned>(-exponent - 1)));
}

float f32_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | f32_infinity | (mantissa << 13));
  if (exponent > 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign ? -magnitude : magnitude;
}

uint16_t bf16_from_f32(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > f32_infinity) return static_cast<uint16_t>((bits >> 16) | 0x40);  // NaN stays one
  return static_cast<uint16_t>(shift_rounding(bits, 16));
}

float f32_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace retort
