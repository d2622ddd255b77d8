// What GPU kernels are written in: threads of a block, barriers, warp collectives and asynchronous copies.
//
// nvcc makes instructions of it (compute capability 8.0 and newer). Any other compiler makes calls of
// simt_emulation.h, which runs the same kernels thread by thread on the CPU: so what a kernel computes, and
// most of how it could go wrong, is tested where there is no GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define RETORT_DEVICE __device__ __forceinline__
#define RETORT_UNROLL _Pragma("unroll")
#else
#define RETORT_DEVICE inline
#define RETORT_UNROLL
#include "kernels/simt_emulation.h"
#endif

namespace retort::simt {

inline constexpr int warp_size = 32;

#ifdef __CUDACC__

RETORT_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
RETORT_DEVICE int thread_count() {
  return static_cast<int>(blockDim.x);
}
RETORT_DEVICE int block_index() {
  return static_cast<int>(blockIdx.x);
}
RETORT_DEVICE int block_count() {
  return static_cast<int>(gridDim.x);
}
RETORT_DEVICE int block_layer() {
  return static_cast<int>(blockIdx.y);
}
RETORT_DEVICE void sync_threads() {
  __syncthreads();
}

// The block's own memory, as large as the launch asked for.
RETORT_DEVICE char* shared_memory() {
  extern __shared__ __align__(128) char memory[];
  return memory;
}

// The value of the lane whose number differs by the bits of `difference`. All lanes of the warp take part.
template <class T>
RETORT_DEVICE T from_lane_across(T value, int difference) {
  return __shfl_xor_sync(0xffffffffu, value, difference);
}

// 16 bytes into shared memory, there after the wait for their group; zeros unless `valid`.
RETORT_DEVICE void copy_async(void* shared, const void* global, bool valid) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}
RETORT_DEVICE void close_copy_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits for all of this thread's groups but the latest `left`.
template <int left>
RETORT_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

// Four 8 x 8 matrices of 16-bit values: lane l names row l % 8 of matrix l / 8, 16 bytes of shared memory,
// and gets of each matrix columns 2 (l % 4) and the next of row l / 4 (PTX ISA, ldmatrix).
RETORT_DEVICE void load_matrices(const void* row, uint32_t (&parts)[4]) {
  const auto from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
               : "r"(from)
               : "memory");
}

// sums += a b of bf16 matrices 16 x 16 and 16 x 8, spread over the warp (PTX ISA, mma.m16n8k16): a lane holds
// columns 2 (l % 4) and the next of rows l / 4 and l / 4 + 8 of the sums.
RETORT_DEVICE void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_low), "r"(b_high));
}

// Adds where several threads may; integers only, so that no order of them shows. Returns what was there.
RETORT_DEVICE int fetch_add(int* to, int value) {
  return atomicAdd(to, value);
}
RETORT_DEVICE void add_to(int64_t* to, int64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
}
RETORT_DEVICE void raise_to(int* to, int value) {
  atomicMax(to, value);
}

#endif

template <class To, class From>
RETORT_DEVICE To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

}  // namespace retort::simt
