#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace retort {

void with_file(const uint8_t* data, std::size_t bytes,
               const std::function<void(const std::filesystem::path&)>& work) {
  static const int fd = ::memfd_create("input", 0);
  static const std::filesystem::path path = "/proc/self/fd/" + std::to_string(fd);
  if (fd < 0 || ::ftruncate(fd, 0) != 0 || ::pwrite(fd, data, bytes, 0) != static_cast<ssize_t>(bytes)) {
    std::perror("fuzz: the input's file cannot be written");
    std::abort();
  }
  work(path);
}

void may_refuse(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    for (const char c : std::string_view(error.what()))
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        std::fprintf(stderr, "fuzz: a message with control characters: %s\n", error.what());
        std::abort();
      }
  }
}

}  // namespace retort
