// What LibTorch puts into trainers (evaluate/trainers.h).
#pragma once

#include "evaluate/head_training.h"
#include "evaluate/probe_training.h"

namespace retort {

ProbeScore train_probe_by_torch(const ProbeData& data, const ProbeTraining& training);
TrainedHead train_head_by_torch(const HeadData& data, const HeadShape& shape, const HeadTraining& training,
                                const DevCost& dev_cost);

}  // namespace retort
