// What stands in for torch_probe.cpp in a build without LibTorch.
#include "evaluate/probe_training.h"

#include "base/error.h"

#ifndef RETORT_WITH_TORCH
namespace retort {

void require_probe_training() {
  fail("this build has no LibTorch, which probes are trained with; build with -DRETORT_TORCH=ON");
}

ProbeScore train_probe(const ProbeData&, const ProbeTraining&) {
  require_probe_training();
  return {};
}

}  // namespace retort
#endif
