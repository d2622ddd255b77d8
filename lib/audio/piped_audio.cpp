#include "audio/piped_audio.h"

#include <unistd.h>

#include <cerrno>
#include <deque>
#include <future>
#include <mutex>

#include "audio/waveform.h"
#include "base/command.h"
#include "base/signals.h"

namespace retort {
namespace {

using Output = std::shared_ptr<const std::string>;

constexpr std::size_t outputs_kept = 2;  // the end of one recording and the beginning of the next
constexpr std::size_t most_bytes = std::size_t{1} << 32;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw AudioError("command-failed", fmt::format(format, std::forward<Args>(args)...));
}

// All that comes through a pipe; `path` names it in errors.
std::string read_to_end(int fd, const std::string& path) {
  std::string bytes;
  std::string block(1 << 16, '\0');
  for (;;) {
    throw_if_stopped();
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return bytes;
    bytes.append(block, 0, static_cast<std::size_t>(got));
    if (bytes.size() > most_bytes) refuse("{}: holds more than {} bytes", path, most_bytes);
  }
}

std::string run(const std::string& path) {
  Command command(path.substr(0, path.size() - 1), Command::Direction::from);
  std::string bytes = read_to_end(command.fd(), path);
  if (const std::string fault = command.finish(); !fault.empty())
    refuse("{}: the command failed ({})", path, fault);
  return bytes;
}

// The last outputs, and those that are being made.
class Outputs {
 public:
  Output get(const std::string& path) {
    std::promise<Output> promise;
    std::unique_lock lock(mutex_);
    for (const Entry& entry : entries_) {
      if (entry.path != path) continue;
      const std::shared_future<Output> output = entry.output;
      lock.unlock();
      return output.get();
    }
    entries_.push_back({path, promise.get_future().share()});
    if (entries_.size() > outputs_kept) entries_.pop_front();
    lock.unlock();
    try {
      Output output = std::make_shared<const std::string>(run(path));
      promise.set_value(output);
      return output;
    } catch (...) {
      promise.set_exception(std::current_exception());
      forget(path);
      throw;
    }
  }

 private:
  struct Entry {
    std::string path;
    std::shared_future<Output> output;
  };

  void forget(const std::string& path) {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [&](const Entry& entry) { return entry.path == path; });
  }

  std::mutex mutex_;
  std::deque<Entry> entries_;  // the newest last
};

}  // namespace

bool is_audio_command(const std::filesystem::path& path) {
  return path.native().ends_with('|');
}

bool is_standard_input(const std::filesystem::path& path) {
  return path == "-";
}

std::shared_ptr<const std::string> piped_audio(const std::filesystem::path& path) {
  if (is_standard_input(path)) {
    static const Output input = std::make_shared<const std::string>(read_to_end(STDIN_FILENO, path));
    return input;
  }
  static Outputs outputs;
  return outputs.get(path.string());
}

}  // namespace retort
