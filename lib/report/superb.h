// Published SUPERB scores, and results of SUPERB-style protocols beside them.
#pragma once

#include <vector>

#include "report/sources.h"
#include "report/tables.h"

namespace retort {

// A row per model: first those that results of SUPERB-style protocols (named ...-ks-1, ...-pr-1) are of, one
// per data set, then the published ones. Without such results it has no rows.
Table table_of_superb(const std::vector<Score>& scores);

// What is to be said below it.
extern const char* const superb_note;

}  // namespace retort
