// Runs GPU kernels on the CPU, for tests: every thread of a block is a fiber, which goes on until it has to
// wait for others.
//
// A warp runs as far as it can before another one's turn comes, and what was copied asynchronously is there
// only after the wait for it. So a barrier or a wait that is missing shows as a wrong result, in one of the
// two orders of warps. The layouts of fragments are those of the PTX ISA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace retort::simt {

struct Launch {
  int64_t blocks = 1;
  int64_t layers = 1;  // of blocks: the grid's second dimension
  int threads = 32;    // of a block, full warps
  std::size_t shared_bytes = 0;
  bool last_warp_first = false;
};

// Runs `kernel` in every thread. Not to be called from within a kernel.
void emulate(const Launch& launch, const std::function<void()>& kernel);

// What a kernel calls (simt.h).
int thread_index();
int thread_count();
int block_index();
int block_count();
int block_layer();
char* shared_memory();
void sync_threads();
void copy_async(void* shared, const void* global, bool valid);
void close_copy_group();
void wait_for_copies(int left);
void load_matrices(const void* row, uint32_t (&parts)[4]);
void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high);

// Hands `bytes` <= 64 bytes to the warp and returns what lane `lane` handed in, for each of its lanes one
// after the other (64 bytes each). All lanes take part; what is returned is there until the next exchange.
const char* exchange(const void* value, std::size_t bytes);

template <int left>
void wait_for_copies() {
  wait_for_copies(left);
}

template <class T>
T from_lane_across(T value, int difference) {
  const char* all = exchange(&value, sizeof value);
  T other;
  __builtin_memcpy(&other, all + 64 * (thread_index() % 32 ^ difference), sizeof other);
  return other;
}

// One thread runs at a time.
inline int fetch_add(int* to, int value) {
  const int before = *to;
  *to += value;
  return before;
}
inline void add_to(int64_t* to, int64_t value) {
  *to += value;
}
inline void raise_to(int* to, int value) {
  *to = *to < value ? value : *to;
}

}  // namespace retort::simt
