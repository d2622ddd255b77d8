#include "kernels/cpu_path.h"

#include <cstdlib>

#include "base/error.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#define RETORT_HAS_AMX
#endif

namespace retort {

std::string to_string(CpuPath path) {
  switch (path) {
    case CpuPath::avx2:
      return "avx2";
    case CpuPath::avx512:
      return "avx512";
    case CpuPath::avx512_bf16:
      return "avx512-bf16";
    case CpuPath::amx:
      return "amx";
    case CpuPath::portable:
      break;
  }
  return "portable";
}

namespace {

#ifdef RETORT_HAS_AMX
// Linux keeps the tile registers' 8 KiB for processes that ask (Documentation/arch/x86/xstate.rst).
bool asks_for_amx() {
  constexpr unsigned bf16 = 1u << 22, tiles = 1u << 24, int8 = 1u << 25;  // CPUID leaf 7, EDX
  constexpr long request_permission = 0x1023;                             // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;                                          // XFEATURE_XTILEDATA
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & bf16) == 0 || (edx & tiles) == 0 || (edx & int8) == 0) return false;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

}  // namespace

std::vector<CpuPath> supported_cpu_paths() {
  std::vector<CpuPath> paths{CpuPath::portable};
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return paths;
  paths.push_back(CpuPath::avx2);
  for (const bool has : {__builtin_cpu_supports("avx512f") != 0, __builtin_cpu_supports("avx512bw") != 0,
                         __builtin_cpu_supports("avx512dq") != 0, __builtin_cpu_supports("avx512vl") != 0})
    if (!has) return paths;
  paths.push_back(CpuPath::avx512);
  if (!__builtin_cpu_supports("avx512bf16")) return paths;
  paths.push_back(CpuPath::avx512_bf16);
#ifdef RETORT_HAS_AMX
  static const bool has_amx = __builtin_cpu_supports("avx512vnni") && asks_for_amx();
  if (has_amx) paths.push_back(CpuPath::amx);
#endif
#endif
  return paths;
}

bool has_vnni([[maybe_unused]] CpuPath path) {
#if defined(__x86_64__) && defined(__GNUC__)
  return path >= CpuPath::avx512 && __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

CpuPath cpu_path() {
  const std::vector<CpuPath> paths = supported_cpu_paths();
  const char* wanted = std::getenv("RETORT_ISA");
  if (!wanted || !*wanted) return paths.back();
  std::string names;
  for (const CpuPath path : paths) {
    if (to_string(path) == wanted) return path;
    names += (names.empty() ? "" : ", ") + to_string(path);
  }
  fail_usage("RETORT_ISA is {}: this machine has {}", wanted, names);
}

}  // namespace retort
