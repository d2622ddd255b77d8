// Process groups of LibTorch (c10d) behind Processes.
#pragma once

namespace retort {

// Lets Processes meet others, in builds with LibTorch. A program that calls it loads LibTorch, which takes as
// long as some seconds of audio.
#ifdef RETORT_WITH_TORCH
void use_torch_processes();
#else
inline void use_torch_processes() {}
#endif

}  // namespace retort
