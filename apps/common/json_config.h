// What --config reads: options as JSON.
#pragma once

#include <CLI/CLI.hpp>
#include <istream>
#include <string>
#include <vector>

#include "base/json.h"

namespace retort {

// Lets CLI11 take its configuration from JSON: {"layer": "enc9", "batch_seconds": 40}. Keys are option names
// with underscores for dashes. Numbers are passed on as they stand in the file, so that none loses digits on
// the way. null and an empty list leave an option as it is. `follows` has the keys that --print-config adds
// to the options; what a file says of them is put there, to be compared with what follows from its options.
class JsonConfig : public CLI::Config {
 public:
  JsonConfig(const CLI::App& app, Json& follows) : app_(app), follows_(follows) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
  // CLI11 asks for it where a configuration is to be written; Tool::resolved_config does that.
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

 private:
  bool is_option(const std::string& name) const;

  const CLI::App& app_;
  Json& follows_;
};

}  // namespace retort
