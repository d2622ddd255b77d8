// JSON as Retort reads and writes it: keys keep their order, unknown keys are errors, files appear whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"

namespace retort {

using Json = nlohmann::ordered_json;

// Parses text; `where` names its origin in the error.
Json parse_json(std::string_view text, const std::string& where);

// Reads a whole JSON file.
Json read_json(const std::filesystem::path& path);

// Writes a JSON file atomically (base/files.h), indented by two, with a final newline. NaN and infinities are
// refused.
void write_json(const std::filesystem::path& path, const Json& value);

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

// Whether a number, or each of a list of numbers, survives the conversion to T, which the JSON library itself
// does not ask: 1.5 is no int, true is no number, and 300 is no uint8_t.
template <class T>
bool json_holds(const Json& value) {
  if constexpr (is_vector<T>) {
    return value.is_array() && std::all_of(value.begin(), value.end(), json_holds<typename T::value_type>);
  } else if constexpr (std::is_same_v<T, bool> || !std::is_arithmetic_v<T>) {
    return true;
  } else if constexpr (std::is_floating_point_v<T>) {
    return value.is_number();
  } else {
    if (value.is_number_unsigned()) return std::in_range<T>(value.get<uint64_t>());
    return value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  }
}

// The value of `key`, converted; an Error naming `where` if it is missing or of another type.
template <class T>
T json_get(const Json& object, std::string_view key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) fail("{}: no \"{}\" in it", where, key);
  if (!json_holds<T>(*found))
    fail("{}: \"{}\" is {}, which is not of the type it should have", where, key, one_line(found->dump()));
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    fail("{}: \"{}\" is {}, which is not of the type it should have", where, key, one_line(found->dump()));
  }
}

// The same with a value for a missing or null key.
template <class T>
T json_get_or(const Json& object, std::string_view key, T otherwise, const std::string& where) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? otherwise : json_get<T>(object, key, where);
}

// An Error that names the first key of `object` outside `known`.
void refuse_unknown_keys(const Json& object, std::initializer_list<std::string_view> known,
                         const std::string& where);

// The first place where two documents differ, as "key: ours ... , theirs ...", or "" where they are equal.
std::string first_difference(const Json& ours, const Json& theirs);

}  // namespace retort
