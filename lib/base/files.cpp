#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/open_file.h"

namespace retort {
namespace {

constexpr std::size_t buffer_bytes = 1 << 20;
constexpr std::size_t writeback_bytes = 8 << 20;

// Makes a rename in this folder durable. Not every file system can sync a folder; those that cannot need not.
void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Opens a file for writing and locks it.
int open_locked(const std::filesystem::path& temporary, const std::string& output) {
  for (;;) {
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) fail("{}: cannot be written ({})", output, std::strerror(errno));
    if (lock_temporary(fd, temporary, output)) return fd;
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  if (path_.has_parent_path()) make_folder(path_.parent_path());
  if (std::filesystem::is_directory(path_))
    fail("{}: is a folder, a file was to be written there", path_.string());
  fd_ = open_locked(temporary_, path_.string());
  if (::ftruncate(fd_, 0) != 0) {
    const int error = errno;
    ::close(fd_);
    fail("{}: cannot be written ({})", path_.string(), std::strerror(error));
  }
  buffer_.reserve(buffer_bytes);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(fd_);
}

void AtomicFile::write_fully(const char* data, std::size_t bytes, std::uint64_t offset) {
  while (bytes > 0) {
    const ssize_t done = ::pwrite(fd_, data, bytes, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("{}: writing failed ({})", path_.string(), std::strerror(errno));
    data += done;
    bytes -= static_cast<std::size_t>(done);
    offset += static_cast<std::uint64_t>(done);
  }
}

// The disk begins to write while more is computed, so that little is left for fsync to wait for.
void AtomicFile::append_fully(const char* data, std::size_t bytes) {
  write_fully(data, bytes, flushed_);
  flushed_ += bytes;
  if (flushed_ - under_way_ < writeback_bytes) return;
  ::sync_file_range(fd_, static_cast<off64_t>(under_way_), static_cast<off64_t>(flushed_ - under_way_),
                    SYNC_FILE_RANGE_WRITE);
  under_way_ = flushed_;
}

void AtomicFile::flush() {
  append_fully(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  if (buffer_.size() + bytes > buffer_bytes) flush();
  if (bytes > buffer_bytes) {
    append_fully(static_cast<const char*>(data), bytes);
  } else {
    buffer_.append(static_cast<const char*>(data), bytes);
  }
  written_ += bytes;
}

void AtomicFile::write_at(std::uint64_t offset, std::string_view text) {
  flush();
  write_fully(text.data(), text.size(), offset);
}

void AtomicFile::commit() {
  flush();
  if (::fsync(fd_) != 0) fail("{}: writing failed ({})", path_.string(), std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail("{}: cannot be put in place ({})", path_.string(), std::strerror(errno));
  // Closing comes after the rename, so that the lock covers the name until it is gone.
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0) fail("{}: writing failed ({})", path_.string(), std::strerror(errno));
  sync_folder(path_.parent_path());
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    fail("{}: {}", path.string(), std::filesystem::exists(path) ? "cannot be opened" : "no such file");
  if (std::filesystem::is_directory(path)) fail("{}: is a folder, a file was expected", path.string());
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) fail("{}: reading it failed", path.string());
  return bytes;
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  const std::string text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = std::min(text.find('\n', begin), text.size());
    const std::size_t end = newline > begin && text[newline - 1] == '\r' ? newline - 1 : newline;
    lines.push_back(text.substr(begin, end - begin));
    begin = newline + 1;
  }
  return lines;
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail("{}: the folder cannot be made ({})", path.string(), error.message());
}

void refuse_existing(const std::filesystem::path& path, bool overwrite) {
  if (!overwrite && std::filesystem::exists(path))
    fail("{}: exists; name another output or give --overwrite", path.string());
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("{}: cannot be opened ({})", path.string(), std::strerror(errno));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail("{}: is not a file", path.string());
  }
  size_ = static_cast<std::size_t>(status.st_size);
  void* mapped = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  const int error = errno;
  ::close(fd);
  if (mapped == MAP_FAILED) fail("{}: cannot be mapped ({})", path.string(), std::strerror(error));
  data_ = static_cast<const std::byte*>(mapped);
}

void MappedFile::forget(const std::byte* begin, std::size_t bytes) const {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t first = (static_cast<std::size_t>(begin - data_) + page - 1) / page * page;
  const std::size_t last = (static_cast<std::size_t>(begin - data_) + bytes) / page * page;
  if (last > first) madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

void MappedFile::unmap() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

MappedFile::~MappedFile() {
  unmap();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "retort-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail("{}: cannot be made ({})", name, std::strerror(errno));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace retort
