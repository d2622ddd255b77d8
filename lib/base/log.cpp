#include "base/log.h"

#include <mutex>

namespace retort {
namespace {

std::mutex sink_mutex;
LogSink current_sink;

}  // namespace

void set_log_sink(LogSink sink) {
  std::lock_guard lock(sink_mutex);
  current_sink = std::move(sink);
}

void log_line(LogLevel level, std::string_view subsystem, std::string_view line) {
  std::lock_guard lock(sink_mutex);
  if (current_sink) current_sink(level, subsystem, line);
}

}  // namespace retort
