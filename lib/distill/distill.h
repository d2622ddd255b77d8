// Trains a student of a teacher (or a first teacher) by a recipe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distill/recipe.h"

namespace retort {

struct DistillOptions {
  std::string recipe;                  // a built-in name or a .json file
  std::vector<std::string> overrides;  // key=value
  std::string corpus;
  std::string teacher;   // model; the labels must come from it
  std::string labels;    // label store; "" none
  std::string codebook;  // of a teacher that has no class head; "" none
  std::string features;  // feature store of the teacher's layer, or a folder of one store per layer; "" none
  std::string validation;         // corpus; "" none
  std::string validation_labels;  // label store of that corpus
  std::string validation_features;
  std::string init_from;  // model to start from; "" random
  bool new_head = false;  // leave the heads of init_from behind
  std::string run;        // output folder
  int64_t steps = -1;     // updates; -1: the recipe's
  uint64_t seed = 0;
  int threads = 0;  // 0: all
  std::string device = "cpu";
  bool overwrite = false;  // begin anew where the run exists
};

// The recipe with every override applied.
Recipe resolve_recipe(const DistillOptions& options);

// Trains, or goes on from the newest checkpoint, or has nothing to do. Writes run/config.json, log.jsonl,
// checkpoints/, best/ (with a validation corpus) and, when done, student/. A signal saves a checkpoint and
// throws Stopped.
void run_distill(const DistillOptions& options);

// The losses of the student `init_from` on `corpus`, term by term, without dropout and without training.
Json run_validation(const DistillOptions& options);

}  // namespace retort
