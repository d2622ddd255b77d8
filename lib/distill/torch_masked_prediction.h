// HuBERT's objective.
#pragma once

#include "distill/torch_objective.h"

namespace retort {

// Cross-entropy of the labels of masked and of other frames, and the penalty on the conv stack's output; a
// frame counts where its term has a weight (fairseq criterions/hubert_criterion.py).
std::unique_ptr<TrainingObjective> make_masked_prediction(const MaskedPrediction& options,
                                                          double feature_grad_mult, int64_t classes);

}  // namespace retort
