// Task "units": labels against phone alignments.
#pragma once

#include <string>

#include "evaluate/result.h"

namespace retort {

struct UnitsOptions {
  ResultOptions result;
  std::string labels;      // label store, or a rspecifier of label vectors
  std::string alignments;  // CTM file
  std::string corpus;      // corpus that the labels must have been made from; "" unchecked
  // Samples at 16 kHz between scored frames, a multiple of the store's hop; 0: the store's. A table does not
  // say how far apart its frames are: this does, and every frame is scored; 0: 320.
  int hop = 0;
  bool keep_silence = false;  // score frames of silence too
};

// Scores every frame whose centre lies in a phone. Frame t of a store with hop h is taken at sample t * h +
// 200, the middle of the 400 samples that a HuBERT frame or an MFCC window sees. Returns the line for
// standard output.
std::string run_units(const UnitsOptions& options);

}  // namespace retort
