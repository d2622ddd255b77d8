// Runs what follows on a chosen version of the kernels.
#pragma once

#include <cstdlib>
#include <string>

#include "kernels/cpu_path.h"

namespace retort {

class OnCpuPath {
 public:
  explicit OnCpuPath(CpuPath path) {
    if (const char* before = std::getenv(variable)) before_ = before;
    setenv(variable, to_string(path).c_str(), 1);
  }
  ~OnCpuPath() { before_.empty() ? unsetenv(variable) : setenv(variable, before_.c_str(), 1); }
  OnCpuPath(const OnCpuPath&) = delete;
  OnCpuPath& operator=(const OnCpuPath&) = delete;

 private:
  static constexpr const char* variable = "RETORT_ISA";
  std::string before_;
};

}  // namespace retort
