// What stands in for torch_probe.cpp and torch_train_head.cpp in a build without LibTorch.
#include "evaluate/probe_training.h"

#include "base/error.h"
#include "evaluate/head_training.h"

#ifndef RETORT_WITH_TORCH
namespace retort {

void require_probe_training() {
  fail("this build has no LibTorch, which probes are trained with; build with -DRETORT_TORCH=ON");
}

ProbeScore train_probe(const ProbeData&, const ProbeTraining&) {
  require_probe_training();
  return {};
}

TrainedHead train_head(const HeadData&, const HeadShape&, const HeadTraining&, const DevCost&) {
  require_probe_training();
  return {};
}

}  // namespace retort
#endif
