// Trains a student (or a first teacher) on labels of its audio.
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
  std::string labels;     // label store
  std::string teacher;    // model folder that the labels must come from; "" unchecked
  std::string init_from;  // model folder to start from; "" random
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
// checkpoints/ and, when done, student/. A signal saves a checkpoint and throws Stopped.
void run_distill(const DistillOptions& options);

}  // namespace retort
