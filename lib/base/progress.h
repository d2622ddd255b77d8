// How far a long job is. The library counts; a program decides whether and how to show it.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace retort {

// A moment of a running job. `done` and `total` are in `unit`; total is 0 where nobody knows it.
struct ProgressState {
  std::string job;
  std::string unit;
  double done = 0;
  double total = 0;
  double seconds = 0;  // since the job began
  bool finished = false;
};

using ProgressSink = std::function<void(const ProgressState&)>;

// Replaces the sink; an empty one (the state before the first call) shows nothing.
void set_progress_sink(ProgressSink sink);

// Counts one job and reports at most ten times a second. Not thread-safe: one thread advances it.
class Progress {
 public:
  Progress(std::string job, std::string unit, double total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(double amount);

 private:
  void report(bool finished);

  using Clock = std::chrono::steady_clock;
  ProgressState state_;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point reported_{};
};

// "extract  42%: 118 of 280 s audio, 61.2 s audio/s, 3 s left": the text of a progress bar.
std::string progress_text(const ProgressState& state);

}  // namespace retort
