// How hot loops are written once and compiled for several instruction sets.
//
// Two ways, neither of which asks anything of the flags that a file is compiled with: RETORT_CLONES leaves
// the choice to the loader, for small loops whose result no CPU changes; a table of functions with target
// attributes (score_panel.h) is chosen by cpu_path(), so that tests reach every version.
#pragma once

// GCC compiles such a function for each of these and picks one when the program is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define RETORT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define RETORT_CLONES
#endif

// For what such a function calls: it must become part of each version.
#define RETORT_INLINE inline __attribute__((always_inline))
// The same for a lambda, behind its parameters.
#define RETORT_INLINE_LAMBDA __attribute__((always_inline))

namespace retort {

// GCC's vectors: arithmetic is element by element, in as many registers as the CPU needs. They ask for no
// alignment, since memory that a container allocates does not always have that of a wide register; unaligned
// loads cost nothing here. They go to and from functions by reference: how a vector this wide is passed
// depends on the instruction set.
using Float16 = float __attribute__((vector_size(64), aligned(4)));
using Int16 = int __attribute__((vector_size(64), aligned(4)));
using Int8 = int __attribute__((vector_size(32), aligned(4)));
using Int4 = int __attribute__((vector_size(16), aligned(4)));
using Float8 = float __attribute__((vector_size(32), aligned(4)));
using Float4 = float __attribute__((vector_size(16), aligned(4)));
using Double8 = double __attribute__((vector_size(64), aligned(8)));

// The vectors of so many floats, ints and bytes. (As a template's argument its own name would lose its
// attributes.)
template <int Lanes>
struct Floats;
template <>
struct Floats<4> {
  using Vector = Float4;
  using Ints = Int4;
  using Bytes = unsigned char __attribute__((vector_size(4), aligned(1)));
};
template <>
struct Floats<8> {
  using Vector = Float8;
  using Ints = Int8;
  using Bytes = unsigned char __attribute__((vector_size(8), aligned(1)));
};
template <>
struct Floats<16> {
  using Vector = Float16;
  using Ints = Int16;
  using Bytes = unsigned char __attribute__((vector_size(16), aligned(1)));
};

}  // namespace retort
