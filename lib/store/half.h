// Conversions between f32 and the 16-bit floats, rounding to nearest even.
#pragma once

#include <cstdint>

namespace retort {

uint16_t f16_from_f32(float value);
float f32_from_f16(uint16_t bits);
uint16_t bf16_from_f32(float value);
float f32_from_bf16(uint16_t bits);

}  // namespace retort
