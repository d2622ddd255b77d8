// Whether a model can follow speech that is still coming in.
#pragma once

#include <string>

#include "model/config.h"

namespace retort {

// What of the model lets a frame depend on later ones, as clauses of one line; empty where nothing does, so
// that frames given while the waveform comes in are those of the whole waveform.
std::string obstacle_to_streaming(const ModelConfig& config);

// An Error that says so where there is such an obstacle.
void require_streaming(const ModelConfig& config);

// Samples from the first to the last that a frame of a model that streams sees: so late after its beginning
// it can be given.
int64_t algorithmic_latency(const ModelConfig& config);

}  // namespace retort
