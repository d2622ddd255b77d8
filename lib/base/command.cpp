#include "base/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace retort {
namespace {

// posix_spawn's two structures, which must be destroyed again.
class SpawnPlan {
 public:
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    // This process ignores SIGPIPE (base/signals.h); a command should die of it as in a shell.
    sigset_t defaults;
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  void connect(int pipe_end, int standard) {
    ::posix_spawn_file_actions_adddup2(&actions_, pipe_end, standard);
  }
  int start(const std::string& line, pid_t* pid) const {
    std::string shell("sh"), option("-c"), command(line);
    std::array<char*, 4> arguments = {shell.data(), option.data(), command.data(), nullptr};
    return ::posix_spawn(pid, "/bin/sh", &actions_, &attributes_, arguments.data(), environ);
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

Command::Command(std::string line, Direction direction) : line_(std::move(line)) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("`{}`: cannot be run ({})", line_, std::strerror(errno));
  const bool from = direction == Direction::from;
  const int theirs = from ? ends[1] : ends[0];
  fd_ = from ? ends[0] : ends[1];
  SpawnPlan plan;
  plan.connect(theirs, from ? STDOUT_FILENO : STDIN_FILENO);
  const int error = plan.start(line_, &pid_);
  ::close(theirs);
  if (error == 0) return;
  close_pipe();
  fail("`{}`: cannot be run ({})", line_, std::strerror(error));
}

Command::~Command() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  close_pipe();
  if (pid_ > 0) wait();
}

void Command::close_pipe() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int Command::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

std::string Command::finish() {
  close_pipe();
  if (pid_ < 0) return "";
  const int status = wait();
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace retort
