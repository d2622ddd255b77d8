#include "common/tool.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "common/json_config.h"

namespace retort {
namespace {

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug: ";
    case LogLevel::warning:
      return "warning: ";
    case LogLevel::error:
      return "error: ";
    default:
      return "";
  }
}

LogLevel parse_level(const std::string& text) {
  if (text == "debug") return LogLevel::debug;
  if (text == "warning") return LogLevel::warning;
  if (text == "error") return LogLevel::error;
  return LogLevel::info;
}

constexpr const char* clear_line = "\r\033[K";

void install_sinks(const std::string& tool, LogLevel least, bool bar) {
  set_log_sink([tool, least, bar](LogLevel level, std::string_view subsystem, std::string_view line) {
    if (level < least) return;
    std::cerr << (bar ? clear_line : "")
              << fmt::format("{} [{}] {}{}\n", tool, subsystem, level_name(level), line) << std::flush;
  });
  if (!bar) return;
  set_progress_sink([](const ProgressState& state) {
    std::cerr << clear_line << progress_text(state) << (state.finished ? "\n" : "") << std::flush;
  });
}

// What a library threw, without the stack that LibTorch appends.
std::string without_stack(const std::string& message) {
  return message.substr(0, message.find("\nException raised from"));
}

// One line, whatever the message holds.
int report_failure(const std::string& tool, const std::string& message, int code) {
  std::string line = message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::cerr << tool << ": " << line << "\n";
  return code;
}

}  // namespace

Tool::Tool(const std::string& name, const std::string& does, const std::string& example)
    : app_(does, name), name_(name) {
  app_.footer("Example:\n  " + example +
              "\n\nExit codes: 0 done, 1 the work failed, 2 bad command line, 128+n stopped by signal n.");
  app_.get_formatter()->column_width(34);
  app_.option_defaults()->always_capture_default(false);
  app_.set_version_flag("--version", name + " " RETORT_VERSION, "Print the version and exit");
  app_.set_config("--config", "", "Read options from a JSON file; the command line wins")
      ->check(CLI::ExistingFile);
  app_.config_formatter(std::make_shared<JsonConfig>(app_, given_details_));
  app_.allow_config_extras(CLI::config_extras_mode::error);
  app_.add_flag("--print-config", print_config_, "Print the resolved options as JSON and exit");
  app_.add_option("--log-level", log_level_, "Least important lines to show: debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app_.add_flag("--progress", progress_, "Show progress even where stderr is no terminal");
  app_.add_flag("--no-progress", no_progress_, "Show no progress");
}

CLI::Option* Tool::flag(const std::string& names, bool& value, const std::string& help) {
  CLI::Option* option = app_.add_flag(names, value, help);
  remember(option, [&value] { return Json(value); });
  return option;
}

void Tool::remember(CLI::Option* option, std::function<Json()> value) {
  values_.emplace_back(option, std::move(value));
}

void Tool::threads(int& value) {
  option("--threads", value, "Threads to use; 0: all that this process may use")->check(CLI::Range(0, 4096));
}
void Tool::seed(uint64_t& value) {
  option("--seed", value, "Seed of everything random");
}
void Tool::device(std::string& value) {
  option("--device", value, "cpu, cuda or cuda:i");
}
void Tool::overwrite(bool& value) {
  flag("--overwrite", value, "Replace an output that exists");
}
void Tool::max_bad(double& value) {
  option("--max-bad", value, "Share of bad utterances above which the job fails at its end")
      ->check(CLI::Range(0.0, 1.0));
}
void Tool::shard(std::string& value) {
  option("--shard", value, "Do part I of N (I/N, from 0), or auto in a job array");
}

void Tool::keep_free(std::string& value) {
  option("--keep-free", value,
         "Stop before less than this much of the output's disk is free (50G); 0: no budget");
}

void Tool::own_config(std::string& value, const std::string& help) {
  app_.set_config();
  option("--config", value, help)->check(CLI::ExistingFile);
}

void Tool::config_details(const std::string& key, std::function<Json()> value) {
  details_.emplace_back(key, std::move(value));
  given_details_[key] = nullptr;
}

// --print-config is also asked by those who want to see what there is to set.
void Tool::require_nothing() {
  for (CLI::Option* option : app_.get_options()) option->required(false);
}

// A file that --print-config made is a file for --config; but what follows from options is not set there.
void Tool::check_given_details() const {
  for (const auto& [key, value] : details_)
    if (const Json& given = given_details_.at(key); !given.is_null() && given != value())
      fail_usage("--config: {} follows from the other options, which say otherwise; change those", key);
}

Json Tool::resolved_config() const {
  Json config = Json::object();
  for (const auto& [option, value] : values_) {
    std::string key = option->get_lnames().empty() ? option->get_name() : option->get_lnames().front();
    std::replace(key.begin(), key.end(), '-', '_');
    config[key] = value();
  }
  for (const auto& [key, value] : details_) config[key] = value();
  return config;
}

int Tool::parse_and_run(int argc, char** argv, const std::function<void()>& stage) {
  if (std::find(argv + 1, argv + argc, std::string_view("--print-config")) != argv + argc) require_nothing();
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app_.help();
    return 0;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << "\n";
    return 0;
  } catch (const CLI::ParseError& error) {
    return report_failure(name_, fmt::format("{} (see {} --help)", error.what(), name_), 2);
  }
  check_given_details();
  if (print_config_) {
    std::cout << resolved_config().dump(2) << "\n";
    return 0;
  }
  const bool bar = !no_progress_ && (progress_ || ::isatty(STDERR_FILENO) == 1);
  install_sinks(name_, parse_level(log_level_), bar);
  install_stop_handlers();
  log_debug("tool", "{} {} {}", name_, RETORT_VERSION, resolved_config().dump());
  stage();
  return 0;
}

int Tool::run(int argc, char** argv, const std::function<void()>& stage) {
  try {
    const int code = parse_and_run(argc, argv, stage);
    if (!std::cout.flush()) fail("standard output: writing failed");
    return code;
  } catch (const Error& error) {
    return report_failure(name_, error.what(), static_cast<int>(error.fault()));
  } catch (const Stopped& stopped) {
    return report_failure(
        name_, fmt::format("stopped by signal {}; the same command goes on from here", stopped.signal()),
        128 + stopped.signal());
  } catch (const std::bad_alloc&) {
    return report_failure(name_, "out of memory; give it less at a time or more memory", 1);
  } catch (const std::exception& error) {
    return report_failure(name_, without_stack(error.what()), 1);
  }
}

}  // namespace retort
