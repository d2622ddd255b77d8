// Steps of renaming tensors, which every checkpoint format takes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace retort {

// Replace the beginning, the end, or the first place where it stands; false where the name has no such part.
bool replace_begin(std::string& name, std::string_view from, std::string_view to);
bool replace_end(std::string& name, std::string_view from, std::string_view to);
bool replace_first(std::string& name, std::string_view from, std::string_view to);

// weight_g and weight_v instead of what newer PyTorch calls the two parts of a normalised weight
// (parametrizations.weight.original0 and 1).
void use_old_weight_norm_names(std::string& name);

// "proj_head.3.bias" below "proj_head." is {3, ".bias"}; nothing where no number stands there.
struct NumberedName {
  int number = 0;
  std::string rest;
};
std::optional<NumberedName> numbered_below(std::string_view name, std::string_view prefix);

}  // namespace retort
