// bench_peak THREADS: what this machine's cores reach when nothing but multiply-adds on registers is asked of
// them, in 10^9 operations a second (a multiply-add is two). Prints one line of JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cpu_path.h"
#include "kernels/simd.h"
#include "kernels/targets.h"

namespace {

using Loop = double (*)(long rounds);  // operations done

constexpr int sums = 12;  // enough that none waits for the one before it

// An empty asm statement that reads and writes a register is all that keeps the loops from being left out.
#ifdef RETORT_X86
RETORT_TARGET_avx2 double multiply_add_avx2(long rounds) {
  __m256 x[sums];
  for (auto& sum : x) sum = _mm256_set1_ps(1.0f);
  __m256 factor = _mm256_set1_ps(0.5f);
  for (long i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(factor));
#pragma GCC unroll 12
    for (auto& sum : x) sum = _mm256_fmadd_ps(sum, factor, factor);
  }
  for (auto& sum : x) asm volatile("" : "+x"(sum));
  return 2.0 * 8 * sums * static_cast<double>(rounds);
}

RETORT_TARGET_avx512 double multiply_add_avx512(long rounds) {
  __m512 x[sums];
  for (auto& sum : x) sum = _mm512_set1_ps(1.0f);
  __m512 factor = _mm512_set1_ps(0.5f);
  for (long i = 0; i < rounds; ++i) {
    asm volatile("" : "+v"(factor));
#pragma GCC unroll 12
    for (auto& sum : x) sum = _mm512_fmadd_ps(sum, factor, factor);
  }
  for (auto& sum : x) asm volatile("" : "+v"(sum));
  return 2.0 * 16 * sums * static_cast<double>(rounds);
}

RETORT_TARGET_bf16 double multiply_add_bf16(long rounds) {
  __m512 x[sums];
  for (auto& sum : x) sum = _mm512_set1_ps(1.0f);
  __m512i factor = _mm512_set1_epi32(0x3f003f00);
  for (long i = 0; i < rounds; ++i) {
    asm volatile("" : "+v"(factor));
#pragma GCC unroll 12
    for (auto& sum : x)
      sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(factor), reinterpret_cast<__m512bh>(factor));
  }
  for (auto& sum : x) asm volatile("" : "+v"(sum));
  return 2.0 * 32 * sums * static_cast<double>(rounds);
}

__attribute__((target("avx512f,avx512vnni"))) double multiply_add_int8(long rounds) {
  __m512i x[sums];
  for (auto& sum : x) sum = _mm512_set1_epi32(1);
  __m512i factor = _mm512_set1_epi32(0x01010101);
  for (long i = 0; i < rounds; ++i) {
    asm volatile("" : "+v"(factor));
#pragma GCC unroll 12
    for (auto& sum : x) sum = _mm512_dpbusd_epi32(sum, factor, factor);
  }
  for (auto& sum : x) asm volatile("" : "+v"(sum));
  return 2.0 * 64 * sums * static_cast<double>(rounds);
}
#endif

// The best of a few rounds, all threads together.
double rate(Loop loop, int threads) {
  constexpr long rounds = 20'000'000;
  double best = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::vector<double> done(static_cast<size_t>(threads));
    const auto begun = std::chrono::steady_clock::now();
    {
      std::vector<std::jthread> team;
      for (double& operations : done) team.emplace_back([&operations, loop] { operations = loop(rounds); });
    }
    double all = 0;
    for (const double operations : done) all += operations;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    best = std::max(best, all / seconds * 1e-9);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  std::string text;
  const auto add = [&](const char* name, Loop loop) {
    char entry[64];
    std::snprintf(entry, sizeof entry, "%s\"%s\": %.1f", text.empty() ? "" : ", ", name, rate(loop, threads));
    text += entry;
  };
#ifdef RETORT_X86
  using retort::CpuPath;
  const std::vector<CpuPath> paths = retort::supported_cpu_paths();
  const auto has = [&](CpuPath path) { return std::find(paths.begin(), paths.end(), path) != paths.end(); };
  if (has(CpuPath::avx2)) add("avx2 f32", multiply_add_avx2);
  if (has(CpuPath::avx512)) add("avx512 f32", multiply_add_avx512);
  if (has(CpuPath::avx512_bf16)) add("avx512 bf16", multiply_add_bf16);
  if (has(CpuPath::avx512) && __builtin_cpu_supports("avx512vnni")) add("avx512 int8", multiply_add_int8);
#endif
  std::printf("{%s}\n", text.c_str());
  return 0;
}
