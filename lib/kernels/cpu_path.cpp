#include "kernels/cpu_path.h"

#include <cstdlib>

#include "base/error.h"

namespace retort {

std::string to_string(CpuPath path) {
  switch (path) {
    case CpuPath::avx2:
      return "avx2";
    case CpuPath::avx512:
      return "avx512";
    case CpuPath::avx512_bf16:
      return "avx512-bf16";
    case CpuPath::portable:
      break;
  }
  return "portable";
}

std::vector<CpuPath> supported_cpu_paths() {
  std::vector<CpuPath> paths{CpuPath::portable};
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return paths;
  paths.push_back(CpuPath::avx2);
  for (const bool has : {__builtin_cpu_supports("avx512f") != 0, __builtin_cpu_supports("avx512bw") != 0,
                         __builtin_cpu_supports("avx512dq") != 0, __builtin_cpu_supports("avx512vl") != 0})
    if (!has) return paths;
  paths.push_back(CpuPath::avx512);
  if (__builtin_cpu_supports("avx512bf16")) paths.push_back(CpuPath::avx512_bf16);
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
