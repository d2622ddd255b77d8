// What programs do about LibTorch.
#pragma once

#include <string>

#ifdef RETORT_WITH_TORCH
#include "torch_encoder/use_torch_encoder.h"
#endif

namespace retort {

// For programs that link LibTorch where there is one.
inline void use_torch() {
#ifdef RETORT_WITH_TORCH
  use_torch_encoder();
#endif
}

// For programs that do without, since loading LibTorch takes longer than what they are mostly asked for:
// becomes the program of the same name that has it, in ../libexec/retort. Returns in builds without LibTorch,
// which have no such program.
void become_torch_twin(const std::string& name, char** argv);

}  // namespace retort
