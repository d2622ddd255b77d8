// The files of data/recipes, built into the library so that a program finds them wherever it is installed.
#pragma once

#include "base/embedded_json.h"

namespace retort {

// Sorted by name. The definition is generated from data/recipes/*.json (CMakeLists.txt of this folder).
const std::vector<EmbeddedJson>& builtin_recipe_texts();

}  // namespace retort
