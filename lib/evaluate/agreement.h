// Task "agreement": two labellings of the same utterances.
#pragma once

#include <string>

#include "evaluate/result.h"

namespace retort {

struct AgreementOptions {
  ResultOptions result;
  std::string labels;     // label store
  std::string reference;  // that of the teacher, say
  bool partial = false;   // compare the utterances that both have, and mark the result
};

// Compares frame by frame; where one store has a multiple of the other's hop, at the instants of the coarser
// one. An Error where the two do not hold the same utterances (allowed by `partial`). Returns the line for
// standard output.
std::string run_agreement(const AgreementOptions& options);

}  // namespace retort
