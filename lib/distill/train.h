// The training loop behind run_distill. Its interface is free of LibTorch; torch_train.cpp holds the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "distill/recipe.h"
#include "distill/run_folder.h"
#include "distill/training_set.h"
#include "model/weights.h"
#include "processes/processes.h"
#include "store/codebook.h"

namespace retort {

struct TrainingJob {
  Recipe recipe;  // its student with classes and the width of its prediction heads; what it copies is there
  uint64_t seed = 0;
  int threads = 0;
  std::string device = "cpu";
  std::optional<ModelWeights> start;    // weights to start from; those of other names or shapes are not used
  std::optional<ModelWeights> teacher;  // where the recipe needs one
  bool features_stored = false;         // the training set holds what the teacher would compute
  std::optional<Codebook> codebook;     // of the teacher, in the place of a class head
  Json provenance = Json::object();     // goes into the student's retort.json
};

// Trains to the recipe's last step and writes run.student(), and run.best() where there is a validation set.
// Several processes share each update's micro batches and make the updates that one would make, up to the
// order of summation; the leading one writes.
void train(const TrainingJob& job, TrainingSet& training, TrainingSet* validation, const RunFolder& run,
           const Processes& processes);

// The losses of job.start, which must be the recipe's whole student, on every utterance: term by term,
// without dropout; "loss" is what training would lower.
Json validate(const TrainingJob& job, TrainingSet& set);

}  // namespace retort
