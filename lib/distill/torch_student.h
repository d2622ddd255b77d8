// The student as training begins.
#pragma once

#include "distill/train.h"
#include "nn/hubert.h"

namespace retort {

// Freshly initialised from the job's seed; then what the recipe copies from the teacher; then whatever of
// job.start has a name and shape of the student's.
HubertModel initial_student(const TrainingJob& job);

}  // namespace retort
