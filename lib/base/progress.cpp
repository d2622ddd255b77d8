#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace retort {
namespace {

std::mutex sink_mutex;
ProgressSink current_sink;

constexpr double report_interval_seconds = 0.1;

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

}  // namespace

void set_progress_sink(ProgressSink sink) {
  std::lock_guard lock(sink_mutex);
  current_sink = std::move(sink);
}

Progress::Progress(std::string job, std::string unit, double total) {
  state_.job = std::move(job);
  state_.unit = std::move(unit);
  state_.total = total;
}

Progress::~Progress() {
  report(true);
}

void Progress::advance(double amount) {
  state_.done += amount;
  if (std::chrono::duration<double>(Clock::now() - reported_).count() >= report_interval_seconds)
    report(false);
}

void Progress::report(bool finished) {
  reported_ = Clock::now();
  state_.finished = finished;
  state_.seconds = std::chrono::duration<double>(reported_ - begun_).count();
  std::lock_guard lock(sink_mutex);
  if (current_sink) current_sink(state_);
}

std::string progress_text(const ProgressState& state) {
  const double rate = state.seconds > 0 ? state.done / state.seconds : 0;
  if (state.finished)
    return fmt::format("{}: {:.0f} {} in {}, {:.4g} {}/s", state.job, state.done, state.unit,
                       clock_text(state.seconds), rate, state.unit);
  if (state.total <= 0)
    return fmt::format("{}: {:.0f} {}, {:.4g} {}/s", state.job, state.done, state.unit, rate, state.unit);
  const double share = std::min(1.0, state.done / state.total);
  const std::string left = rate > 0 ? clock_text(std::max(0.0, state.total - state.done) / rate) : "?";
  return fmt::format("{} {:3.0f}%: {:.0f} of {:.0f} {}, {:.4g} {}/s, {} left", state.job, 100 * share,
                     state.done, state.total, state.unit, rate, state.unit, left);
}

}  // namespace retort
