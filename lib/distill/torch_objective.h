// The objectives of a recipe: what a student's outputs cost on one micro batch.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distill/recipe.h"
#include "distill/torch_metrics.h"
#include "distill/training_set.h"
#include "nn/hubert.h"
#include "store/codebook.h"

namespace retort {

// A micro batch on the device.
struct TrainingBatch {
  at::Tensor waveforms;          // (rows, samples)
  at::Tensor teacher_waveforms;  // (rows, samples)
  at::Tensor labels;             // (rows, frames) int64; undefined without labels
  std::vector<at::Tensor>
      features;       // (rows, frames, dim) of the teacher's layers; empty where the teacher computes them
  at::Tensor masked;  // (rows, frames) bool; undefined where nothing is masked
  at::Tensor valid;   // (rows, frames) bool; undefined where every row is as long as the longest
  std::vector<int64_t> lengths;  // samples
  std::vector<int64_t> frames;   // frames that each row has

  // `examples` must outlive the batch where the device is the CPU.
  TrainingBatch(TrainingExamples& examples, const at::Device& device);
  int64_t valid_frames() const;
};

// The sum of a loss over `frames` frames, by which an update divides its gradient.
struct BatchLoss {
  at::Tensor sum;
  double frames = 0;
};

class TrainingObjective {
 public:
  virtual ~TrainingObjective() = default;
  // Runs the student (and the teacher, without gradient). Metrics get every term by name.
  virtual BatchLoss loss(const TrainingBatch& batch, HubertModel& student, Metrics& metrics) const = 0;
  // The metrics that a line for a person shows.
  virtual std::vector<std::string> headline() const = 0;
};

// A frozen model, or a codebook that stands for the head which it lacks, or both. Without a model the batches
// hold its features.
struct Teacher {
  HubertModel model{nullptr};
  std::optional<Codebook> codebook;
};

// `teacher` holds no model where the objective needs none. The student's config must have its classes and the
// width of its prediction heads.
std::unique_ptr<TrainingObjective> make_objective(const Recipe& recipe, const ModelConfig& student,
                                                  Teacher teacher, const at::Device& device);

}  // namespace retort
