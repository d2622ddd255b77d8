#include "base/atomic_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"
#include "base/open_file.h"

namespace retort {
namespace {

// "out" of "out/".
std::filesystem::path without_slash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

// Another writer may put the folder in its place between the two calls; the name is opened anew then.
int lock_folder(const std::filesystem::path& temporary, const std::string& output) {
  for (;;) {
    std::error_code error;
    std::filesystem::create_directories(temporary, error);
    if (error) fail("{}: the folder cannot be made ({})", output, error.message());
    const int fd = ::open(temporary.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) continue;
    if (fd < 0) fail("{}: the folder cannot be made ({})", output, std::strerror(errno));
    if (lock_temporary(fd, temporary, output)) return fd;
  }
}

}  // namespace

AtomicFolder::AtomicFolder(const std::filesystem::path& path)
    : path_(without_slash(path)),
      temporary_(path_.string() + ".tmp"),
      fd_(lock_folder(temporary_, path_.string())) {
  std::error_code ignored;
  for (const auto& left : std::filesystem::directory_iterator(temporary_))
    std::filesystem::remove_all(left.path(), ignored);
}

AtomicFolder::~AtomicFolder() {
  if (fd_ < 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(temporary_, ignored);
  ::close(fd_);
}

void AtomicFolder::commit() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (!error) std::filesystem::rename(temporary_, path_, error);
  // What was made is kept where it cannot be put in place: it may have taken days.
  ::close(fd_);
  fd_ = -1;
  if (error)
    fail("{}: cannot be put in place ({}); the new one is {}", path_.string(), error.message(),
         temporary_.string());
}

}  // namespace retort
