// The tile unit of CPUs that have AMX: eight registers of 16 rows by 64 bytes, and products of them.
#pragma once

#include <cstdint>

#include "kernels/targets.h"

namespace retort {

inline constexpr int64_t amx_rows = 16;
inline constexpr int64_t amx_row_bytes = 64;

// What tells the unit how large each register is (Intel SDM, volume 1, section 18.2): whole, all of them.
struct alignas(64) AmxShape {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#ifdef RETORT_X86
// The instructions; registers are numbered 0 to 7. Assembler, since GCC's intrinsics take literals alone.
struct AmxUnit {
  static void configure() {
    static const AmxShape shape;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  // Until the next configure(); what switches threads has less to save.
  static void release() { asm volatile("tilerelease"); }

  // Rows lie `stride` bytes apart.
  template <int Tile>
  static void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(Tile) : "memory");
  }
  template <int Tile>
  static void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(Tile) : "memory");
  }
  template <int Tile>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(Tile));
  }

  // sums (16, 16) f32 += rows (16, 32) bf16 times a panel's (16, 16, 2) bf16.
  template <int Sums, int Rows, int Panel>
  static void multiply_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(Rows), "i"(Panel));
  }
  // sums (16, 16) i32 += rows (16, 64) u8 times a panel's (16, 16, 4) i8.
  template <int Sums, int Rows, int Panel>
  static void multiply_int8() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(Rows), "i"(Panel));
  }
};
#endif

// While it is there this thread may use the unit's registers.
template <class Unit>
class ConfiguredUnit {
 public:
  ConfiguredUnit() { Unit::configure(); }
  ~ConfiguredUnit() { Unit::release(); }
  ConfiguredUnit(const ConfiguredUnit&) = delete;
  ConfiguredUnit& operator=(const ConfiguredUnit&) = delete;
};

}  // namespace retort
