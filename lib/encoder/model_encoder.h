// Layers of a model folder, computed with LibTorch.
#pragma once

#include <memory>

#include "encoder/frame_encoder.h"

namespace retort {

// Only in builds with LibTorch (torch_model_encoder.cpp).
std::unique_ptr<FrameEncoder> make_model_encoder(const EncoderOptions& options);

}  // namespace retort
