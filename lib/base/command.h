// Shell commands that bytes are read from or written to: "gunzip -c a.ark.gz |" and "| gzip -c > a.ark.gz".
#pragma once

#include <sys/types.h>

#include <string>

namespace retort {

// A command run by /bin/sh, at the other end of a pipe.
class Command {
 public:
  enum class Direction { from, to };  // from: its standard output is read; to: its standard input is written

  // Starts it. Throws where there is no process or pipe to be had; a command that the shell does not find
  // fails later, in finish(), with exit code 127.
  Command(std::string line, Direction direction);
  // A command that was not waited for is told to stop (SIGTERM), so that one that is being fed does not take
  // the early end of its input for a whole one.
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  int fd() const { return fd_; }  // our end of the pipe
  // Closes the pipe and waits. What went wrong ("exit code 3", "signal 9"), or "" for exit code 0.
  std::string finish();
  const std::string& line() const { return line_; }

 private:
  void close_pipe();
  int wait();

  std::string line_;
  pid_t pid_ = -1;
  int fd_ = -1;
};

}  // namespace retort
