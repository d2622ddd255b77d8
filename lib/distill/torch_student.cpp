#include "distill/torch_student.h"

#include "base/log.h"
#include "base/random.h"

namespace retort {
namespace {

constexpr uint64_t initial_weights = 11;  // what the seed is for

void take_over(const ModelWeights& start, ModelWeights& student) {
  std::size_t taken = 0;
  for (auto& [name, tensor] : student.tensors) {
    const auto found = start.tensors.find(name);
    if (found == start.tensors.end() || found->second.shape != tensor.shape) continue;
    tensor = found->second;
    ++taken;
  }
  if (taken == 0) fail("--init-from: no tensor of that model has a name and shape of the student's");
  log_info("distill", "{} of {} tensors taken from --init-from", taken, student.tensors.size());
}

// Copies the tensors whose names begin with `beginning`.
void copy_from_teacher(const std::string& beginning, const ModelWeights& teacher, ModelWeights& student) {
  for (auto& [name, tensor] : student.tensors)
    if (name.starts_with(beginning)) tensor = teacher.tensors.at(name);
}

}  // namespace

HubertModel initial_student(const TrainingJob& job) {
  torch::manual_seed(mix_seed({job.seed, initial_weights}));
  HubertModel model(job.recipe.student);
  if (job.recipe.copy_from_teacher.empty() && !job.start) return model;
  ModelWeights weights = model->weights();
  for (const std::string& beginning : job.recipe.copy_from_teacher)
    copy_from_teacher(beginning, *job.teacher, weights);
  if (job.start) take_over(*job.start, weights);
  model->load(weights);
  return model;
}

}  // namespace retort
