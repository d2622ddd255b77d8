// Whether a name still is what was opened under it.
#pragma once

#include <sys/stat.h>

#include <filesystem>

namespace retort {

inline bool is_open_file(const std::filesystem::path& path, int fd) {
  struct stat named {};
  struct stat opened {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

}  // namespace retort
