// Programs that are there twice: without LibTorch and with it.
#pragma once

#include <string>

namespace retort {

// For the one without, since loading LibTorch takes longer than what it is mostly asked for: becomes the
// program of the same name in ../libexec/retort, which has it. Returns in builds without LibTorch, where
// there is none.
void become_torch_twin(const std::string& name, char** argv);

}  // namespace retort
