// Memory of tensors on the CPU.
#pragma once

namespace retort {

// From now on large tensors on the CPU lie in memory that the process keeps for the next ones, in huge pages
// where the system has them. Otherwise every large tensor takes its pages anew from the system, which clears
// them, and that costs a training step more time than all its norms and activations. Memory stays at its
// peak. Does nothing where address space is too scarce to set some aside.
void keep_tensor_memory();

}  // namespace retort
