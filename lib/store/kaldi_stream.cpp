#include "store/kaldi_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace retort {
namespace {

constexpr std::size_t buffer_bytes = 1 << 16;

bool is_stream(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

}  // namespace

FdInput::FdInput(std::string name) : name_(std::move(name)), buffer_(buffer_bytes) {}

void FdInput::attach(int fd) {
  fd_ = fd;
  setg(buffer_.data(), buffer_.data(), buffer_.data());
}

void FdInput::seek(int64_t offset) {
  struct stat status {};
  if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && offset > status.st_size)
    fail("{}: has {} bytes, byte {} was asked for", name_, status.st_size, offset);
  if (::lseek(fd_, offset, SEEK_SET) < 0)
    fail("{}: byte {} cannot be gone to ({})", name_, offset, std::strerror(errno));
  setg(buffer_.data(), buffer_.data(), buffer_.data());
}

FdInput::int_type FdInput::underflow() {
  ssize_t got = -1;
  do {
    got = ::read(fd_, buffer_.data(), buffer_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail("{}: reading it failed ({})", name_, std::strerror(errno));
  setg(buffer_.data(), buffer_.data(), buffer_.data() + got);
  return got == 0 ? traits_type::eof() : traits_type::to_int_type(buffer_[0]);
}

KaldiInput::~KaldiInput() {
  close();
}

void KaldiInput::close() {
  command_.reset();
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  file_.clear();
}

void KaldiInput::open(const Rxfilename& source) {
  if (source.kind == StreamKind::file) {
    open_file(source);
    return;
  }
  close();
  if (source.kind == StreamKind::command) {
    command_.emplace(source.name, Command::Direction::from);
    buffer_ = std::make_unique<FdInput>(fmt::format("`{}`", source.name));
    buffer_->attach(command_->fd());
  } else {
    buffer_ = std::make_unique<FdInput>("standard input");
    buffer_->attach(STDIN_FILENO);
  }
}

void KaldiInput::open_file(const Rxfilename& source) {
  const bool is_open = fd_ >= 0 && file_ == source.name;
  if (!is_open) {
    close();
    fd_ = ::open(source.name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail("{}: cannot be opened ({})", source.name, std::strerror(errno));
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode))
      fail("{}: is a folder, a file was expected", source.name);
    file_ = source.name;
    buffer_ = std::make_unique<FdInput>(source.name);
    buffer_->attach(fd_);
  }
  if (is_open || source.offset > 0) buffer_->seek(source.offset);
}

void KaldiInput::finish() {
  if (!command_) return;
  const std::string line = command_->line();
  const std::string fault = at_end() ? command_->finish() : "";
  command_.reset();
  if (!fault.empty()) fail("the command `{}` failed ({})", line, fault);
}

KaldiOutput::KaldiOutput(const Wxfilename& target, bool overwrite) : name_(target.name) {
  if (target.kind == StreamKind::standard) {
    name_ = "standard output";
    fd_ = STDOUT_FILENO;
  } else if (target.kind == StreamKind::command) {
    command_.emplace(target.name, Command::Direction::to);
    fd_ = command_->fd();
    name_ = fmt::format("`{}`", target.name);
  } else if (is_stream(target.name)) {
    open_device(target.name);
  } else {
    refuse_existing(target.name, overwrite);
    file_.emplace(target.name);
  }
}

KaldiOutput::~KaldiOutput() {
  if (owned_) ::close(fd_);
}

void KaldiOutput::open_device(const std::string& path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd_ < 0) fail("{}: cannot be written ({})", path, std::strerror(errno));
  owned_ = true;
}

void KaldiOutput::write(std::string_view bytes) {
  written_ += bytes.size();
  if (file_) {
    file_->write(bytes);
    return;
  }
  buffer_.append(bytes);
  if (buffer_.size() >= buffer_bytes) flush();
}

void KaldiOutput::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t done = ::write(fd_, left.data(), left.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      const int error = errno;
      const std::string fault = command_ ? command_->finish() : "";
      if (!fault.empty()) fail("the command {} failed ({})", name_, fault);
      fail("{}: writing failed ({})", name_, std::strerror(error));
    }
    left.remove_prefix(static_cast<std::size_t>(done));
  }
  buffer_.clear();
}

void KaldiOutput::commit() {
  if (file_) {
    file_->commit();
    return;
  }
  flush();
  if (!command_) return;
  const std::string fault = command_->finish();
  if (!fault.empty()) fail("the command {} failed ({})", name_, fault);
}

}  // namespace retort
