#include "base/json.h"

#include <algorithm>
#include <cmath>

#include "base/files.h"

namespace retort {
namespace {

// JSON has no NaN; the library would write null in its place.
void refuse_not_finite(const Json& value, const std::string& where) {
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    fail("{}: a value to be written is not finite", where);
  if (!value.is_structured()) return;
  for (const auto& [key, inner] : value.items()) refuse_not_finite(inner, where + " " + key);
}

std::string dump_text(const Json& value, const std::string& where) {
  try {
    return value.dump(2);
  } catch (const nlohmann::json::type_error&) {
    fail("{}: a text to be written is not UTF-8", where);
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail("{}: not JSON (byte {})", where, error.byte);
  } catch (const nlohmann::json::out_of_range&) {
    fail("{}: holds a number that is too large", where);
  }
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

void write_json(const std::filesystem::path& path, const Json& value) {
  refuse_not_finite(value, path.string());
  AtomicFile file(path);
  file.write(dump_text(value, path.string()));
  file.write("\n");
  file.commit();
}

void refuse_unknown_keys(const Json& object, std::initializer_list<std::string_view> known,
                         const std::string& where) {
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail("{}: unknown key \"{}\" (known: {})", where, key, fmt::join(known, ", "));
}

std::string first_difference(const Json& ours, const Json& theirs) {
  if (ours == theirs) return "";
  if (!ours.is_object() || !theirs.is_object())
    return fmt::format("{} against {}", ours.dump(), theirs.dump());
  for (const auto& [key, value] : ours.items()) {
    if (!theirs.contains(key)) return fmt::format("{} {} against none", key, value.dump());
    const std::string inner = first_difference(value, theirs.at(key));
    if (!inner.empty()) return key + " " + inner;
  }
  for (const auto& [key, value] : theirs.items())
    if (!ours.contains(key)) return fmt::format("{} none against {}", key, value.dump());
  return "";  // the same keys in another order
}

}  // namespace retort
