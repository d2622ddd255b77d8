// The seam between tasks and the training of probes, which takes LibTorch: lib/torch_probes/ is behind it.
#pragma once

#include <functional>

#include "evaluate/head_training.h"
#include "evaluate/probe_training.h"

namespace retort {

struct Trainers {
  ProbeScore (*train_probe)(const ProbeData& data, const ProbeTraining& training) = nullptr;
  TrainedHead (*train_head)(const HeadData& data, const HeadShape& shape, const HeadTraining& training,
                            const DevCost& dev_cost) = nullptr;
  // Of a program without the others: becomes one that has them. Returns where there is none.
  std::function<void()> become_one_that_trains;
};

// Empty in programs that do without LibTorch.
inline Trainers trainers;

}  // namespace retort
