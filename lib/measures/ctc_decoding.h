// Labels from the frames of a network that was trained by connectionist temporal classification.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace retort {

inline constexpr int ctc_blank = 0;  // the class that stands for no label

// The most probable class of each frame (the first of equals), repetitions merged, without blanks.
// log_probabilities is (frames, classes).
std::vector<int> decode_greedily(const Matrix& log_probabilities);

struct CtcHypothesis {
  std::vector<int> labels;
  double log_probability = 0;  // of all paths to these labels that the beam kept
};

// The most probable labels among those that a search keeping the `width` best beginnings finds, without a
// language model (prefix search: Graves et al. 2006; with a beam: Hannun et al. 2014). With a width that
// keeps everything, log_probability is exactly minus the CTC loss of the labels. No frames: no labels.
CtcHypothesis decode_by_beam(const Matrix& log_probabilities, int width);

}  // namespace retort
