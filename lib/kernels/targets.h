// The instruction sets that kernels are compiled for, as attributes of functions (cpu_path.h says which of
// them this machine runs).
#pragma once

#define RETORT_TARGET_portable
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define RETORT_X86 1
#define RETORT_TARGET_avx2 __attribute__((target("avx2,fma")))
#define RETORT_TARGET_avx512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define RETORT_TARGET_bf16 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#endif
