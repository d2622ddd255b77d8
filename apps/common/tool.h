// What every program shares: flags, --config, --print-config, logs and progress on stderr, signals, exit
// codes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace retort {

// A program's command line. Options bind straight to the fields of an options struct; their defaults live
// there.
class Tool {
 public:
  // `example` is one whole command line, shown by --help.
  Tool(const std::string& name, const std::string& does, const std::string& example);

  // An option (or a positional, for a name without dashes) whose value is also a key of --config and
  // --print-config.
  template <class T>
  CLI::Option* option(const std::string& names, T& value, const std::string& help) {
    CLI::Option* option = app_.add_option(names, value, help);
    option->capture_default_str();
    remember(option, [&value] { return Json(value); });
    return option;
  }
  // A flag, as option().
  CLI::Option* flag(const std::string& names, bool& value, const std::string& help);

  // The shared options, for the tools where they mean something. Each binds one field.
  void threads(int& value);            // --threads
  void seed(uint64_t& value);          // --seed
  void device(std::string& value);     // --device cpu|cuda[:i]
  void overwrite(bool& value);         // --overwrite
  void max_bad(double& value);         // --max-bad
  void keep_free(std::string& value);  // --keep-free SIZE; read it with parse_bytes
  void shard(std::string& value);      // --shard I/N|auto; read it with parse_shard in the stage

  // Takes --config for a file of the tool's own subject, instead of one with options.
  void own_config(std::string& value, const std::string& help);

  // Adds a key to --print-config whose value follows from the options, such as a recipe with its overrides.
  void config_details(const std::string& key, std::function<Json()> value);

  // Parses, installs sinks and signal handlers, calls `stage`, and turns what it throws into a line and an
  // exit code: 0 done, 1 the work failed, 2 bad command line, 128 + n stopped by signal n.
  int run(int argc, char** argv, const std::function<void()>& stage);

 private:
  void remember(CLI::Option* option, std::function<Json()> value);
  int parse_and_run(int argc, char** argv, const std::function<void()>& stage);
  Json resolved_config() const;
  void require_nothing();
  void check_given_details() const;

  CLI::App app_;
  std::string name_;
  std::vector<std::pair<CLI::Option*, std::function<Json()>>> values_;
  std::vector<std::pair<std::string, std::function<Json()>>> details_;
  Json given_details_ = Json::object();  // by their keys: what --config says of them, or null
  std::string log_level_ = "info";
  bool progress_ = false;
  bool no_progress_ = false;
  bool print_config_ = false;
};

}  // namespace retort
