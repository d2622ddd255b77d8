// LibTorch's engine behind make_frame_encoder().
#pragma once

namespace retort {

// Gives make_frame_encoder() what --encoder torch and GPUs need, in builds with LibTorch. A program that
// calls it loads LibTorch, which takes as long as some seconds of audio.
#ifdef RETORT_WITH_TORCH
void use_torch_encoder();
#else
inline void use_torch_encoder() {}
#endif

}  // namespace retort
