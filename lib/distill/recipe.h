// A recipe: everything that shapes a training run, as data (data/recipes/*.json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "model/config.h"

namespace retort {

// Spans of masked frames (fairseq data/data_utils.py compute_mask_indices, static lengths, overlaps allowed).
struct MaskingOptions {
  double probability = 0.8;  // of a frame to begin a span, times the span's length
  int length = 10;           // frames per span
  int min_spans = 2;         // per utterance
};

// HuBERT's own objective: the label of every frame, most of which the student does not see. The numbers weigh
// the terms (fairseq criterions/hubert_criterion.py).
struct MaskedPrediction {
  double masked = 1.0;    // cross-entropy summed over masked frames
  double unmasked = 0.0;  // over the others
  double feature_penalty =
      10.0;  // mean square of the conv stack's output, times the number of predicted frames
  MaskingOptions masking;
  std::string label_layer;  // layer that the labels must come from; "" any
};

// Prediction heads that learn to be layers of the teacher (student.predicted_layers). The first three weigh
// the terms of a layer's loss, each a mean over frames; the others weigh the layers.
struct LayerPrediction {
  double l1 = 1.0;                // mean of |difference| over a frame's values
  double squared = 0.0;           // mean of its square
  double cosine = 1.0;            // -log sigmoid(cosine)
  double hint_weight = 1.0;       // of every layer but the last
  double last_weight = 1.0;       // of the last
  bool mean_over_layers = false;  // divide by the number of layers
  // Masked distillation (ARMHuBERT): the student never hears a masked frame and learns what the teacher makes
  // of it; the other frames it learns from a teacher that does not hear the masked ones either. Nothing is
  // masked without.
  std::optional<MaskingOptions> masking;
};

// The teacher's distribution over classes, frame by frame. The first four weigh the terms.
struct ClassDistillation {
  double cross_entropy = 1.0;   // of the labels
  double distillation = 0.0;    // divergence from the teacher's distribution, times temperature squared
  double target_class = 1.0;    // its decoupled parts: of the label's class against all others,
  double other_classes = 1.0;   // and among the others
  double temperature = 1.0;     // divides the logits of both in all terms but the cross-entropy
  double codebook_scale = 1.0;  // a codebook's logits are -(squared distance) / (this * its inertia)
  std::string label_layer;      // layer that the labels must come from; "" any
};

using Objective = std::variant<MaskedPrediction, LayerPrediction, ClassDistillation>;

struct OptimizerOptions {
  double lr = 5e-4;  // peak
  double beta1 = 0.9;
  double beta2 = 0.98;
  double eps = 1e-6;
  double weight_decay = 0.01;  // decoupled, times the learning rate
  bool decay_biases = true;    // false: parameters called bias do not decay (s3prl's grouping)
  double clip_norm = 10;       // of the gradient per example; 0: no clipping
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
  bool pad = false;  // false: a batch is cropped to its shortest utterance; true: padded to its longest
};

// What products are computed in. Parameters, their gradients and moments, norms, softmax and losses are f32
// in both.
enum class Precision { f32, bf16 };

struct Recipe {
  std::string name;
  std::string paper;
  std::vector<std::string> notes;  // deviations from the paper and unknowns
  ModelConfig student;             // classes and width of prediction heads come from labels and teacher
  std::vector<std::string> copy_from_teacher;  // beginnings of the names of tensors the student starts with
  double feature_grad_mult = 0.1;
  Precision precision = Precision::f32;
  Objective objective;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  BatchOptions batch;
  int64_t report_every = 200;       // updates per line of log.jsonl
  int64_t validate_every = 1000;    // updates, where there is a validation corpus
  int64_t checkpoint_every = 5000;  // updates
  int64_t keep_checkpoints = 1;     // the newest so many

  Json to_json() const;
  bool needs_labels() const { return std::holds_alternative<MaskedPrediction>(objective); }
  // Its weights; what it computes may also be there as `stored` features.
  bool needs_teacher(bool stored) const { return (!needs_labels() && !stored) || !copy_from_teacher.empty(); }
  // "" where any layer's labels will do.
  std::string label_layer() const;
  // What the student does not hear; nothing where it hears all.
  std::optional<MaskingOptions> masking() const;
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
