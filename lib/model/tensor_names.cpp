#include "model/tensor_names.h"

#include <algorithm>

namespace retort {

bool replace_begin(std::string& name, std::string_view from, std::string_view to) {
  if (!name.starts_with(from)) return false;
  name.replace(0, from.size(), to);
  return true;
}

bool replace_end(std::string& name, std::string_view from, std::string_view to) {
  if (!name.ends_with(from)) return false;
  name.replace(name.size() - from.size(), from.size(), to);
  return true;
}

bool replace_first(std::string& name, std::string_view from, std::string_view to) {
  const std::size_t at = name.find(from);
  if (at == std::string::npos) return false;
  name.replace(at, from.size(), to);
  return true;
}

void use_old_weight_norm_names(std::string& name) {
  if (!replace_end(name, "parametrizations.weight.original0", "weight_g"))
    replace_end(name, "parametrizations.weight.original1", "weight_v");
}

std::optional<NumberedName> numbered_below(std::string_view name, std::string_view prefix) {
  constexpr std::size_t most_digits = 6;
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view after = name.substr(prefix.size());
  const std::size_t digits = std::min(after.find_first_not_of("0123456789"), after.size());
  const bool whole = digits == after.size() || after[digits] == '.';
  if (digits == 0 || digits > most_digits || !whole) return std::nullopt;
  return NumberedName{std::stoi(std::string(after.substr(0, digits))), std::string(after.substr(digits))};
}

}  // namespace retort
