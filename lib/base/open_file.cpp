#include "base/open_file.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace retort {

bool lock_temporary(int fd, const std::filesystem::path& temporary, const std::string& output) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(fd);
    fail("{}: another process is writing it; wait for it or stop it", output);
  }
  if (is_open_file(temporary, fd)) return true;
  ::close(fd);
  return false;
}

}  // namespace retort
