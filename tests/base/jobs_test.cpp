// What a long job uses: progress, threads, bad items, signals, logs.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>

#include "base/bad_items.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"

using namespace retort;

namespace {

// Keeps the log's lines while it lives.
class LogRecorder {
 public:
  LogRecorder() {
    set_log_sink([this](LogLevel, std::string_view subsystem, std::string_view line) {
      lines.push_back(std::string(subsystem) + ": " + std::string(line));
    });
  }
  ~LogRecorder() { set_log_sink({}); }

  std::vector<std::string> lines;
};

// Exit status of a forked child that runs `body`, or minus the signal that ended it.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("progress text shows share, rate and time left") {
  CHECK(progress_text({"extract", "s audio", 118, 280, 2, false}) ==
        "extract  42%: 118 of 280 s audio, 59 s audio/s, 3 s left");
  CHECK(progress_text({"scan", "files", 0, 10, 0, false}) == "scan   0%: 0 of 10 files, 0 files/s, ? left");
  CHECK(progress_text({"scan", "files", 7, 0, 2, false}) == "scan: 7 files, 3.5 files/s");
  CHECK(progress_text({"scan", "files", 12, 10, 2, false}) ==
        "scan 100%: 12 of 10 files, 6 files/s, 0 s left");
  CHECK(progress_text({"scan", "files", 10, 10, 75, true}) == "scan: 10 files in 1:15 min, 0.1333 files/s");
  CHECK(progress_text({"train", "steps", 1, 7321, 1, false}).find("2:02 h left") != std::string::npos);
}

TEST_CASE("progress reports its end, and no more than ten times a second before") {
  std::vector<ProgressState> states;
  set_progress_sink([&](const ProgressState& state) { states.push_back(state); });
  const auto begun = std::chrono::steady_clock::now();
  {
    Progress progress("job", "items", 100000);
    for (int i = 0; i < 100000; ++i) progress.advance(1);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  set_progress_sink({});
  REQUIRE_FALSE(states.empty());
  CHECK(states.back().finished);
  CHECK(states.back().done == 100000);
  CHECK(static_cast<double>(states.size()) <= 2 + seconds / 0.1);
}

TEST_CASE("parallel_for does every item once, whatever the threads") {
  for (const int threads : {0, 1, 3, 16}) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
      CAPTURE(threads, count);
      std::vector<std::atomic<int>> times(count);
      parallel_for(count, threads, [&](std::size_t item) { ++times[item]; });
      CHECK(std::all_of(times.begin(), times.end(), [](const auto& n) { return n == 1; }));
    }
  }
}

TEST_CASE("parallel_for rethrows and begins no further items") {
  std::atomic<int> begun{0};
  const auto body = [&](std::size_t item) {
    ++begun;
    if (item == 3) fail("item 3");
  };
  CHECK_THROWS_WITH(parallel_for(1'000'000, 2, body), "item 3");
  CHECK(begun < 1'000'000);
}

TEST_CASE("prefetched items come in order and stay within the window") {
  for (const int threads : {0, 1, 4}) {
    for (const std::size_t window : {std::size_t{0}, std::size_t{1}, std::size_t{5}}) {
      CAPTURE(threads, window);
      std::atomic<std::size_t> made{0};
      Prefetcher<std::size_t> items(200, threads, window, [&](std::size_t item) {
        ++made;
        return item * item;
      });
      for (std::size_t item = 0; item < 200; ++item) {
        REQUIRE_FALSE(items.done());
        REQUIRE(made <= item + std::max<std::size_t>(window, 1));
        REQUIRE(items.next() == item * item);
      }
      CHECK(items.done());
    }
  }
}

TEST_CASE("a failed item throws in its turn and the next one comes after it") {
  Prefetcher<int> items(5, 2, 3, [](std::size_t item) -> int {
    if (item == 2) fail("item 2");
    return static_cast<int>(item);
  });
  CHECK(items.next() == 0);
  CHECK(items.next() == 1);
  CHECK_THROWS_WITH(items.next(), "item 2");
  CHECK(items.next() == 3);
  // The last item is never taken: the destructor must not wait for it.
}

TEST_CASE("bad items are named, counted by reason and judged by their share") {
  const LogRecorder log;
  BadItems bad("prepare", 0.1);
  CHECK_NOTHROW(bad.judge(0));
  bad.add("a", "truncated", "the file is cut");
  CHECK(log.lines.at(0) == "prepare: skipping a: the file is cut");
  CHECK_NOTHROW(bad.judge(10));
  CHECK(log.lines.back() == "prepare: 1 of 10 utterances were bad (1 truncated)");
  CHECK_THROWS_WITH(bad.judge(9), "1 of 9 utterances were bad (1 truncated), more than --max-bad 0.1 allows");
  bad.add("b", "empty", "no samples");
  bad.add("c", "truncated", "the file is cut");
  CHECK(bad.count() == 3);
  CHECK(bad.reasons() == std::map<std::string, std::size_t>{{"empty", 1}, {"truncated", 2}});
}

TEST_CASE("nothing left is a failure even where all may be bad") {
  BadItems bad("prepare", 1.0);
  bad.add("a", "empty", "no samples");
  CHECK_NOTHROW(bad.judge(2));
  CHECK_THROWS_WITH(bad.judge(1), "all 1 utterances were bad (1 empty)");
}

TEST_CASE("the first stop signal is noticed where the work looks, the second ends the process") {
  for (const int signal : {SIGINT, SIGTERM}) {
    CHECK(in_child([&] {
            install_stop_handlers();
            throw_if_stopped();
            ::raise(signal);
            try {
              throw_if_stopped();
            } catch (const Stopped& stopped) {
              return stopped.signal() == signal && stop_signal() == signal ? 0 : 1;
            }
            return 2;
          }) == 0);
    CHECK(in_child([&] {
            install_stop_handlers();
            ::raise(signal);
            ::raise(signal);
            return 0;
          }) == -signal);
  }
}

TEST_CASE("without a sink logging does nothing, with one it hands on the formatted line") {
  set_log_sink({});
  CHECK_NOTHROW(log_info("store", "lost {}", 1));
  const LogRecorder log;
  log_warning("store", "{} of {}", 1, "two");
  CHECK(log.lines == std::vector<std::string>{"store: 1 of two"});
}
