// Two encoders as one, for jobs that hold a student's frames against its teacher's.
#pragma once

#include <memory>

#include "encoder/frame_encoder.h"

namespace retort {

// The outputs of the first, then those of the second, of the same waveforms. An Error where the two want
// their audio put together differently (--batching).
std::unique_ptr<FrameEncoder> join_encoders(std::unique_ptr<FrameEncoder> first,
                                            std::unique_ptr<FrameEncoder> second);

}  // namespace retort
