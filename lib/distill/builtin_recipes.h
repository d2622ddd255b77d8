// The files of data/recipes, built into the library so that a program finds them wherever it is installed.
#pragma once

#include <string_view>
#include <vector>

namespace retort {

struct BuiltinRecipe {
  std::string_view name;
  std::string_view text;
};

// Sorted by name. The definition is generated from data/recipes/*.json (CMakeLists.txt of this folder).
const std::vector<BuiltinRecipe>& builtin_recipe_texts();

}  // namespace retort
