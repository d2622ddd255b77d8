// The one error type of the library, and the exception that a stop signal becomes.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace retort {

// Whose fault a failure is; the value is the program's exit code.
enum class Fault { work = 1, usage = 2 };

// What a user did wrong or what went wrong for them, in one line: what, which file or utterance, what to do.
// Control characters, which a message may have from a file, become '?'.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string message, Fault fault = Fault::work)
      : std::runtime_error(without_controls(std::move(message))), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  static std::string without_controls(std::string message) {
    for (char& c : message)
      if ((c >= 0 && c < 0x20) || c == 0x7f) c = '?';
    return message;
  }

  Fault fault_;
};

// Thrown where work can be left cleanly after SIGINT or SIGTERM; the program then exits with 128 + signal.
class Stopped : public std::exception {
 public:
  explicit Stopped(int signal) : signal_(signal) {}
  int signal() const { return signal_; }
  const char* what() const noexcept override { return "stopped by a signal"; }

 private:
  int signal_;
};

// Text out of a file for a message: on one line and of bearable length, whatever it holds. Control characters
// and what is not UTF-8 become '?'.
std::string one_line(std::string_view text);

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// For a command line or configuration that cannot be obeyed (exit code 2).
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), Fault::usage);
}

}  // namespace retort
