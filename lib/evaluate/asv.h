// Task "asv": are two utterances of one speaker?
#pragma once

#include <string>

#include "evaluate/task.h"

namespace retort {

// SUPERB-style speaker verification: an x-vector head is trained to tell the training speakers apart
// (AM-softmax), and pairs of test utterances are scored by the cosine of their embeddings. Returns the line
// for standard output.
std::string run_asv(const TaskOptions& options);

}  // namespace retort
