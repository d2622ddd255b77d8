// Task "qbe": spoken queries looked for in recordings, without training.
#pragma once

#include <string>

#include "evaluate/task.h"

namespace retort {

// SUPERB-style query by example: subsequence DTW of every query (--queries) in every recording (--corpus),
// scores normalised per query, the best layer by the dev queries, term-weighted value of the test queries.
// Returns the line for standard output.
std::string run_qbe(const TaskOptions& options);

}  // namespace retort
