#include "base/json.h"

#include <algorithm>

#include "base/files.h"

namespace retort {

Json parse_json(std::string_view text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail("{}: not JSON (byte {})", where, error.byte);
  }
}

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

void write_json(const std::filesystem::path& path, const Json& value) {
  AtomicFile file(path);
  file.write(value.dump(2));
  file.write("\n");
  file.commit();
}

void refuse_unknown_keys(const Json& object, std::initializer_list<std::string_view> known, const std::string& where) {
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      fail("{}: unknown key \"{}\" (known: {})", where, key, fmt::join(known, ", "));
}

std::string first_difference(const Json& ours, const Json& theirs) {
  if (ours == theirs) return "";
  if (!ours.is_object() || !theirs.is_object()) return fmt::format("{} against {}", ours.dump(), theirs.dump());
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
