// Where models come from.
#pragma once

#include <vector>

#include "report/sources.h"
#include "report/tables.h"

namespace retort {

// A row per run whose configuration tells anything of it: its student, the models it descends from, oldest
// first, and what it was trained on. Hashes are cut short; models that are students of runs go by their
// names.
Table table_of_lineage(const std::vector<Run>& runs);

}  // namespace retort
