// The tile unit in plain C++, register by register, for tests on CPUs that have none.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/amx_unit.h"

namespace retort {

// As AmxUnit. Products are those of Intel's manual (instructions TDPBF16PS and TDPBUSD), denormals being
// zero.
class EmulatedAmxUnit {
 public:
  static void configure() { registers_ = {}; }
  static void release() {}

  template <int Tile>
  static void load(const void* from, int64_t stride) {
    for (int64_t r = 0; r < amx_rows; ++r)
      std::memcpy(row(Tile, r), static_cast<const std::byte*>(from) + r * stride, amx_row_bytes);
  }
  template <int Tile>
  static void store(void* to, int64_t stride) {
    for (int64_t r = 0; r < amx_rows; ++r)
      std::memcpy(static_cast<std::byte*>(to) + r * stride, row(Tile, r), amx_row_bytes);
  }
  template <int Tile>
  static void zero() {
    std::memset(row(Tile, 0), 0, amx_rows * amx_row_bytes);
  }

  template <int Sums, int Rows, int Panel>
  static void multiply_bf16() {
    for (int64_t m = 0; m < amx_rows; ++m)
      for (int64_t n = 0; n < columns; ++n) {
        float pair[2] = {0, 0};
        for (int64_t k = 0; k < steps; ++k)
          for (int64_t i = 0; i < 2; ++i) {
            const float x = as_float(get<uint16_t>(Rows, m, 2 * k + i));
            const float w = as_float(get<uint16_t>(Panel, k, 2 * n + i));
            pair[i] = without_denormal(std::fma(x, w, pair[i]));
          }
        const float sum = without_denormal(pair[0] + pair[1]);
        put(Sums, m, n, without_denormal(get<float>(Sums, m, n) + sum));
      }
  }

  template <int Sums, int Rows, int Panel>
  static void multiply_int8() {
    for (int64_t m = 0; m < amx_rows; ++m)
      for (int64_t n = 0; n < columns; ++n) {
        auto sum = get<int32_t>(Sums, m, n);
        for (int64_t k = 0; k < steps; ++k)
          for (int64_t i = 0; i < 4; ++i)
            sum += get<uint8_t>(Rows, m, 4 * k + i) * get<int8_t>(Panel, k, 4 * n + i);
        put(Sums, m, n, sum);
      }
  }

 private:
  static constexpr int64_t columns = amx_row_bytes / 4;
  static constexpr int64_t steps = amx_row_bytes / 4;  // of a row: pairs of bf16, fours of bytes

  static std::byte* row(int tile, int64_t r) {
    return registers_.data() + (tile * amx_rows + r) * amx_row_bytes;
  }
  template <class Value>
  static Value get(int tile, int64_t r, int64_t i) {
    Value value;
    std::memcpy(&value, row(tile, r) + i * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  }
  template <class Value>
  static void put(int tile, int64_t r, int64_t i, Value value) {
    std::memcpy(row(tile, r) + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
  }
  static float as_float(uint16_t bf16) {
    return without_denormal(std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16));
  }
  static float without_denormal(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? 0 * x : x; }

  static thread_local inline std::array<std::byte, 8 * amx_rows * amx_row_bytes> registers_;
};

}  // namespace retort
