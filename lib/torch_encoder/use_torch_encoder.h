// LibTorch's engine behind make_frame_encoder().
#pragma once

namespace retort {

// Gives make_frame_encoder() what --encoder torch and GPUs need. Only in builds with LibTorch; a program that
// calls it loads LibTorch, which takes as long as some seconds of audio.
void use_torch_encoder();

}  // namespace retort
