// Task "ctc": phones, characters or slots from frozen features, frame by frame.
#pragma once

#include <string>

#include "evaluate/task.h"

namespace retort {

// SUPERB-style PR, ASR and SF by the protocol's data, probe and metric sections (docs/tools/
// retort-evaluate.md). Returns the line for standard output.
std::string run_ctc(const TaskOptions& options);

}  // namespace retort
