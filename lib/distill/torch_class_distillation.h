// The objective of decoupled knowledge distillation.
#pragma once

#include "distill/torch_objective.h"

namespace retort {

// The student's class logits against labels and against the teacher's logits, which come from its head or
// from distances to its codebook. Without labels a frame's label is the teacher's most likely class. Source:
// mdistiller distillers/DKD.py, in log space.
std::unique_ptr<TrainingObjective> make_class_distillation(const ClassDistillation& options,
                                                           double feature_grad_mult, int64_t classes,
                                                           Teacher teacher, const at::Device& device);

}  // namespace retort
