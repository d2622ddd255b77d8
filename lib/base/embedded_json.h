// JSON files that are built into a program, and can be named without their path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace retort {

struct EmbeddedJson {
  std::string_view name;  // the file's, without .json
  std::string_view text;
};

std::vector<std::string> names_of(const std::vector<EmbeddedJson>& files);

// The embedded file of this name, or the file on disk where the name has a slash or ends in .json. `kind`
// ("recipe") is also the option that a usage Error names.
Json read_embedded_json(const std::vector<EmbeddedJson>& files, const std::string& kind,
                        const std::string& name_or_file);

}  // namespace retort
