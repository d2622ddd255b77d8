// The objective of DistilHuBERT and FitHuBERT.
#pragma once

#include "distill/torch_objective.h"

namespace retort {

// Distances between the student's prediction heads and the teacher's layers of the same numbers, as means
// over frames that belong to an utterance. Sources: s3prl pretrain/distiller/pretrain_expert.py; FitHuBERT
// train.py.
std::unique_ptr<TrainingObjective> make_layer_prediction(const LayerPrediction& options,
                                                         double feature_grad_mult,
                                                         const PredictionHeads& heads,
                                                         const HubertModel& teacher);

}  // namespace retort
