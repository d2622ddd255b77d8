#include "distill/torch_objective.h"

#include <numeric>

#include "base/error.h"
#include "distill/torch_class_distillation.h"
#include "distill/torch_layer_prediction.h"
#include "distill/torch_masked_prediction.h"
#include "nn/torch_conv_stack.h"

namespace retort {

TrainingBatch::TrainingBatch(TrainingExamples& examples, const at::Device& device)
    : lengths(examples.lengths), frames(examples.valid) {
  const int64_t rows = examples.rows();
  const auto matrix = [&](auto& values, int64_t width, at::ScalarType type) {
    if (values.empty()) return at::Tensor();
    return at::from_blob(values.data(), {rows, width}, type).to(device);
  };
  waveforms = matrix(examples.waveforms, examples.samples, at::kFloat);
  teacher_waveforms = examples.teacher_waveforms.empty()
                          ? waveforms
                          : matrix(examples.teacher_waveforms, examples.samples, at::kFloat);
  labels = matrix(examples.labels, examples.frames, at::kLong);
  for (StoredFeatures& layer : examples.features)
    features.push_back(matrix(layer.values, examples.frames * layer.dim, at::kFloat)
                           .view({rows, examples.frames, layer.dim}));
  masked = matrix(examples.masked, examples.frames, at::kByte);
  if (masked.defined()) masked = masked.to(at::kBool);
  const FrameLengths counts{frames, examples.frames};
  if (!counts.equal()) valid = counts.padding(device).logical_not();
}

int64_t TrainingBatch::valid_frames() const {
  return std::accumulate(frames.begin(), frames.end(), int64_t{0});
}

std::unique_ptr<TrainingObjective> make_objective(const Recipe& recipe, const ModelConfig& student,
                                                  Teacher teacher, const at::Device& device) {
  if (const auto* masked = std::get_if<MaskedPrediction>(&recipe.objective))
    return make_masked_prediction(*masked, recipe.feature_grad_mult, student.classes);
  if (!teacher.model.is_empty()) {
    teacher.model->to(device);
    teacher.model->eval();
  }
  if (const auto* layers = std::get_if<LayerPrediction>(&recipe.objective))
    return make_layer_prediction(*layers, recipe.feature_grad_mult, student.prediction, teacher.model);
  return make_class_distillation(std::get<ClassDistillation>(recipe.objective), recipe.feature_grad_mult,
                                 student.classes, std::move(teacher), device);
}

}  // namespace retort
