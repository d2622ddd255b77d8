// YAML as other toolkits write their configurations.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace retort {

// A file as JSON: YAML where its name ends in .yaml or .yml, else JSON. Plain scalars become null, booleans
// and numbers where they read as such, as in YAML 1.2's core schema; quoted ones stay text.
Json read_json_or_yaml(const std::filesystem::path& path);

}  // namespace retort
