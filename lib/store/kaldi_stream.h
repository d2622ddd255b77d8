// The bytes behind Kaldi's file names: files, places in files, commands, standard input and output.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

#include "base/command.h"
#include "base/files.h"
#include "store/kaldi_specifier.h"

namespace retort {

// Reads from a file descriptor through a buffer. Errors of reading are thrown, named by `name`.
class FdInput : public std::streambuf {
 public:
  explicit FdInput(std::string name);

  void attach(int fd);
  void seek(int64_t offset);

 protected:
  int_type underflow() override;

 private:
  std::string name_;
  int fd_ = -1;
  std::vector<char> buffer_;
};

// What an rxfilename names. Opened again with another place in the same file, it keeps the file open.
class KaldiInput {
 public:
  KaldiInput() = default;
  explicit KaldiInput(const Rxfilename& source) { open(source); }
  ~KaldiInput();
  KaldiInput(const KaldiInput&) = delete;
  KaldiInput& operator=(const KaldiInput&) = delete;

  void open(const Rxfilename& source);
  std::streambuf& bytes() { return *buffer_; }
  bool at_end() { return buffer_->sgetc() == std::streambuf::traits_type::eof(); }
  // Where the end was reached and a command stood behind it: throws unless that ended with exit code 0. A
  // command that has more to say is stopped instead.
  void finish();

 private:
  void open_file(const Rxfilename& source);
  void close();

  std::unique_ptr<FdInput> buffer_;
  std::optional<Command> command_;
  std::string file_;  // the file that is open, or ""
  int fd_ = -1;       // of that file
};

// What a wxfilename names. A regular file is written under a temporary name and is there from commit() on;
// standard output, commands and devices get their bytes as they come, and what they got cannot be taken back.
class KaldiOutput {
 public:
  // Refuses a regular file that exists, unless it may be overwritten.
  KaldiOutput(const Wxfilename& target, bool overwrite);
  ~KaldiOutput();
  KaldiOutput(const KaldiOutput&) = delete;
  KaldiOutput& operator=(const KaldiOutput&) = delete;

  void write(std::string_view bytes);
  // Hands on what was held back; nothing for a regular file.
  void flush();
  uint64_t bytes_written() const { return written_; }
  // Throws where writing fails or the command does not end with exit code 0.
  void commit();

 private:
  void open_device(const std::string& path);

  std::string name_;
  std::optional<AtomicFile> file_;
  std::optional<Command> command_;
  int fd_ = -1;         // of a stream
  bool owned_ = false;  // whether fd_ is ours to close
  std::string buffer_;
  uint64_t written_ = 0;
};

}  // namespace retort
