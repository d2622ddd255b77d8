#include "common/torch_twin.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace retort {

void become_torch_twin([[maybe_unused]] const std::string& name, [[maybe_unused]] char** argv) {
#ifdef RETORT_WITH_TORCH
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::filesystem::path twin = self.parent_path().parent_path() / "libexec" / "retort" / name;
  execv(twin.c_str(), argv);
  fail("{}: the program with LibTorch cannot be run: {}", twin.string(), std::strerror(errno));
#endif
}

}  // namespace retort
