// The training loop behind run_distill. Its interface is free of LibTorch; torch_train.cpp holds the loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "distill/recipe.h"
#include "distill/run_folder.h"
#include "distill/targets.h"
#include "model/weights.h"

namespace retort {

struct TrainingJob {
  Recipe recipe;  // student.classes set
  uint64_t seed = 0;
  int threads = 0;
  std::string device = "cpu";
  std::optional<ModelWeights> start;  // weights to start from; those of other names or shapes are not used
  Json provenance = Json::object();   // goes into the student's retort.json
};

// Trains to the recipe's last step and writes run.student().
void train(const TrainingJob& job, TrainingSet& examples, const RunFolder& run);

}  // namespace retort
