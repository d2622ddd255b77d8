#include "base/embedded_json.h"

namespace retort {

std::vector<std::string> names_of(const std::vector<EmbeddedJson>& files) {
  std::vector<std::string> names;
  for (const EmbeddedJson& file : files) names.emplace_back(file.name);
  return names;
}

Json read_embedded_json(const std::vector<EmbeddedJson>& files, const std::string& kind,
                        const std::string& name_or_file) {
  if (name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".json"))
    return read_json(name_or_file);
  for (const EmbeddedJson& file : files)
    if (name_or_file == file.name) return parse_json(file.text, kind + " " + name_or_file);
  fail_usage("--{} {}: no such {} (built in: {}; or name a .json file)", kind, name_or_file, kind,
             fmt::join(names_of(files), ", "));
}

}  // namespace retort
