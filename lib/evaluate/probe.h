// Task "probe": how well frozen features tell classes of utterances apart.
#pragma once

#include <string>

#include "evaluate/task.h"

namespace retort {

// SUPERB-style: features are frozen, layers mixed by a trained softmax, averaged over time, classified. Since
// mixing and averaging are linear, each layer's mean over time is all that is kept. The learning rate is
// picked on dev, test is scored once per seed. With folds, that is done for each of them, and accuracies are
// means over folds. Returns the line for standard output.
std::string run_probe(const TaskOptions& options);

}  // namespace retort
