#include "evaluate/trainers.h"
#include "torch_probes/torch_trainers.h"
#include "torch_probes/use_torch_probes.h"

namespace retort {

void use_torch_probes() {
  trainers.train_probe = train_probe_by_torch;
  trainers.train_head = train_head_by_torch;
}

}  // namespace retort
