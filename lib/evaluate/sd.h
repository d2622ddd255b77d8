// Task "sd": who speaks when, in mixtures of few voices.
#pragma once

#include <string>

#include "evaluate/task.h"
#include "measures/diarisation.h"

namespace retort {

// SUPERB-style diarisation: an LSTM says for each frame and voice whether it speaks; thresholds, a median
// filter and the diarisation error rate follow. Returns the line for standard output.
std::string run_sd(const TaskOptions& options);

// Turns of voices "0", "1", ... where `probabilities` (frames, voices) are at least `threshold`, after a
// median filter over an odd number of frames. Frame t stands for the `hop` samples around sample t * hop +
// 200.
struct TurnRule {
  double threshold = 0.5;
  int64_t median = 11;
};
std::vector<SpeakerTurn> turns_of(const Matrix& probabilities, const TurnRule& rule, int hop);

}  // namespace retort
