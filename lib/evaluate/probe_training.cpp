#include "evaluate/probe_training.h"

#include "base/error.h"
#include "evaluate/trainers.h"

namespace retort {

void require_probe_training() {
  if (trainers.train_probe != nullptr) return;
  if (trainers.become_one_that_trains) trainers.become_one_that_trains();
  fail("this build has no LibTorch, which probes are trained with; build with -DRETORT_TORCH=ON");
}

ProbeScore train_probe(const ProbeData& data, const ProbeTraining& training) {
  require_probe_training();
  return trainers.train_probe(data, training);
}

TrainedHead train_head(const HeadData& data, const HeadShape& shape, const HeadTraining& training,
                       const DevCost& dev_cost) {
  require_probe_training();
  return trainers.train_head(data, shape, training, dev_cost);
}

}  // namespace retort
