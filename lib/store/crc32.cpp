#include "store/crc32.h"

#include <zlib.h>

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace retort {
namespace {

uint32_t portable(uint32_t crc, const unsigned char* at, std::size_t bytes) {
  constexpr std::size_t most = 1 << 30;  // zlib counts in 32 bits
  for (std::size_t step = 0; bytes > 0; bytes -= step, at += step) {
    step = std::min(bytes, most);
    crc = static_cast<uint32_t>(crc32(crc, at, static_cast<uInt>(step)));
  }
  return crc;
}

#if defined(__x86_64__)
// Folding by carry-less multiplication: Gopal et al., "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction" (Intel, 2009), with that paper's constants for the reflected polynomial. Takes at
// least 64 bytes, a multiple of 16.
constexpr std::size_t fold_bytes = 64;

__attribute__((target("pclmul,sse4.1"))) __m128i fold(__m128i value, __m128i next, __m128i constants) {
  const __m128i low = _mm_clmulepi64_si128(value, constants, 0x00);
  const __m128i high = _mm_clmulepi64_si128(value, constants, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) uint32_t folded(uint32_t crc, const unsigned char* at,
                                                         std::size_t bytes) {
  const auto load = [](const unsigned char* from) __attribute__((target("pclmul,sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
  const __m128i barrett = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  const __m128i low_32 = _mm_set_epi32(0, 0, 0, -1);

  __m128i a = _mm_xor_si128(load(at), _mm_cvtsi32_si128(static_cast<int>(~crc)));
  __m128i b = load(at + 16), c = load(at + 32), d = load(at + 48);
  for (at += fold_bytes, bytes -= fold_bytes; bytes >= fold_bytes; at += fold_bytes, bytes -= fold_bytes) {
    a = fold(a, load(at), by_512);
    b = fold(b, load(at + 16), by_512);
    c = fold(c, load(at + 32), by_512);
    d = fold(d, load(at + 48), by_512);
  }
  a = fold(a, b, by_128);
  a = fold(a, c, by_128);
  a = fold(a, d, by_128);
  for (; bytes >= 16; at += 16, bytes -= 16) a = fold(a, load(at), by_128);

  // 128 bits to 64, to 32.
  a = _mm_xor_si128(_mm_clmulepi64_si128(a, by_128, 0x10), _mm_srli_si128(a, 8));
  a = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(a, low_32), by_64, 0x00), _mm_srli_si128(a, 4));
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_32), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
  return ~static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(a, quotient), 1));
}
#endif

}  // namespace

uint32_t crc32_of(uint32_t crc, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
  static const bool multiplies = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
  if (multiplies && bytes >= fold_bytes) {
    const std::size_t whole = bytes / 16 * 16;
    crc = folded(crc, at, whole);
    at += whole;
    bytes -= whole;
  }
#endif
  return portable(crc, at, bytes);
}

uint32_t crc32_joined(uint32_t first, uint32_t second, uint64_t second_bytes) {
  return static_cast<uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(second_bytes)));
}

}  // namespace retort
