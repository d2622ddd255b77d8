// Which of the kernels' versions this machine runs.
#pragma once

#include <string>
#include <vector>

namespace retort {

// From the one that every x86-64 CPU (and, by plain C++, every other) has to the fastest.
enum class CpuPath { portable, avx2, avx512, avx512_bf16, amx };

// "portable", "avx2", "avx512", "avx512-bf16", "amx".
std::string to_string(CpuPath path);

// What this CPU and its operating system can run, slowest first; asked of the CPU, not of the compiler. Asks
// Linux for leave to use AMX, which it gives a process that does.
std::vector<CpuPath> supported_cpu_paths();

// The fastest of these, or the one that the environment variable RETORT_ISA names (for tests and for
// comparisons; results are the same). A usage Error where it names none that this CPU has.
CpuPath cpu_path();

// Whether this CPU also adds up products of eight bits in one instruction (VNNI), which kernels of the paths
// for AVX-512 then use.
bool has_vnni(CpuPath path);

}  // namespace retort
