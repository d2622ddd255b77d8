// Training of probes by LibTorch.
#pragma once

namespace retort {

// Fills trainers (evaluate/trainers.h), in builds with LibTorch. A program that calls it loads LibTorch,
// which takes as long as some seconds of audio.
#ifdef RETORT_WITH_TORCH
void use_torch_probes();
#else
inline void use_torch_probes() {}
#endif

}  // namespace retort
