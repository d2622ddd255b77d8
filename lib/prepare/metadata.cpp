#include "prepare/metadata.h"

#include "base/files.h"

namespace retort {

Metadata read_metadata(const std::filesystem::path& path) {
  Metadata metadata;
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    const std::string where = fmt::format("{} line {}", path.string(), ++number);
    Json keys = parse_json(line, where);
    if (!keys.is_object()) fail("{}: not a JSON object", where);
    const auto id = json_get<std::string>(keys, "id", where);
    keys.erase("id");
    for (const char* key : {"path", "start", "samples", "rate", "channel"})
      if (keys.contains(key)) fail("{}: \"{}\" comes from the audio and cannot be set", where, key);
    if (!metadata.emplace(id, std::move(keys)).second) fail("{}: id {} was there before", where, id);
  }
  return metadata;
}

}  // namespace retort
