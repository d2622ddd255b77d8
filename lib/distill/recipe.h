// A recipe: everything that shapes a training run, as data (data/recipes/*.json).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/config.h"

namespace retort {

// Weights of the terms of HuBERT's loss (fairseq criterions/hubert_criterion.py).
struct LossWeights {
  double masked = 1.0;    // cross-entropy summed over masked frames
  double unmasked = 0.0;  // over the others
  double feature_penalty =
      10.0;  // mean square of the conv stack's output, times the number of predicted frames
};

// Spans of masked frames (fairseq data/data_utils.py compute_mask_indices, static lengths, overlaps allowed).
struct MaskingOptions {
  double probability = 0.8;  // of a frame to begin a span, times the span's length
  int length = 10;           // frames per span
  int min_spans = 2;         // per utterance
};

struct OptimizerOptions {
  double lr = 5e-4;  // peak
  double beta1 = 0.9;
  double beta2 = 0.98;
  double eps = 1e-6;
  double weight_decay = 0.01;  // decoupled, on every parameter, times the learning rate
  double clip_norm = 10;       // of the gradient per predicted frame; 0: no clipping
};

struct ScheduleOptions {
  int64_t steps = 400000;        // optimiser updates
  int64_t warmup_steps = 32000;  // linear rise to lr; afterwards linear fall to 0 at `steps`
};

struct BatchOptions {
  double seconds = 2800;        // of audio per update
  double micro_seconds = 87.5;  // of audio at once in memory; gradients are summed over micro batches
  double min_seconds = 2.0;     // shorter utterances are left out
  double max_seconds = 15.625;  // longer ones are cropped at random
};

struct Recipe {
  std::string name;
  std::string paper;
  std::vector<std::string> notes;  // deviations from the paper and unknowns
  ModelConfig student;             // student.classes comes from the labels
  std::string label_layer;         // layer that the labels must come from; "" any
  double feature_grad_mult = 0.1;
  LossWeights loss;
  MaskingOptions masking;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  BatchOptions batch;
  int64_t report_every = 200;       // updates per line of log.jsonl
  int64_t checkpoint_every = 5000;  // updates

  Json to_json() const;
};

// Every key must be there and no other.
Recipe parse_recipe(const Json& json, const std::string& where);

// A built-in recipe by name, or a file (a name with a slash or ending in .json).
Json read_recipe(const std::string& name_or_file);
std::vector<std::string> builtin_recipes();

// Applies "a.b=value". The key must exist, and the value must be of the kind (number, text, list...) it
// replaces.
void apply_override(Json& recipe, const std::string& assignment);

}  // namespace retort
