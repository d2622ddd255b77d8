// Whether a name still is what was opened under it, and locks against other writers.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace retort {

inline bool is_open_file(const std::filesystem::path& path, int fd) {
  struct stat named {};
  struct stat opened {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

// Locks what is open under a temporary name for the writer of `output`. False, and closed, where another
// writer renamed or removed it in between: what is locked then is its finished output, which must not be
// touched, so the name is to be opened anew. An Error where another process is writing.
bool lock_temporary(int fd, const std::filesystem::path& temporary, const std::string& output);

}  // namespace retort
