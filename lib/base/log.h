// The log sink. The library reports through it and never prints; a program installs the sink that does.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string_view>
#include <utility>

namespace retort {

enum class LogLevel { debug, info, warning, error };

// Receives a level, the subsystem that speaks ("store", "distill") and one line without its newline.
// Called under a lock, so it may be called from any thread.
using LogSink = std::function<void(LogLevel, std::string_view subsystem, std::string_view line)>;

// Replaces the sink; an empty one drops every line, which is also the state before the first call.
void set_log_sink(LogSink sink);

void log_line(LogLevel level, std::string_view subsystem, std::string_view line);

template <class... Args>
void log_debug(std::string_view subsystem, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::debug, subsystem, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(std::string_view subsystem, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, subsystem, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(std::string_view subsystem, fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, subsystem, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace retort
