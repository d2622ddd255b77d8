#include "distill/distill.h"

#include "base/log.h"
#include "distill/run_folder.h"
#include "distill/targets.h"
#include "distill/train.h"
#include "model/checkpoint.h"
#include "model/tensors.h"

namespace retort {
namespace {

#ifdef RETORT_WITH_TORCH
constexpr bool can_train = true;
#else
constexpr bool can_train = false;
#endif
constexpr const char* no_torch =
    "this build has no LibTorch, which training needs; build with -DRETORT_TORCH=ON";

// Labels made from another model, or from another layer than the recipe insists on, would train a wrong
// student silently.
void check_labels(const FrameStore& labels, const Recipe& recipe, const std::string& teacher,
                  const std::string& folder) {
  const FrameOrigin& origin = labels.info().origin;
  if (!teacher.empty()) {
    const std::string hash = read_model(teacher).hash();
    if (origin.model != hash)
      fail("{}: labels come from model {}, --teacher {} is {}; label with that teacher", folder, origin.model,
           teacher, hash);
  }
  if (!recipe.label_layer.empty() && origin.layer != recipe.label_layer)
    fail("{}: labels come from layer {}, the recipe wants {} (label_layer)", folder, origin.layer,
         recipe.label_layer);
}

// What a run is made from: two runs are the same if this and the code are.
Json run_config(const DistillOptions& options, const Recipe& recipe, const Corpus& corpus,
                const FrameStore& labels, const std::string& start_hash) {
  return {{"format", "retort-run-1"},
          {"recipe", recipe.to_json()},
          {"seed", options.seed},
          {"corpus", corpus.hash()},
          {"labels",
           {{"hash", labels.hash()},
            {"codebook", labels.info().codebook},
            {"clusters", labels.info().clusters},
            {"origin", labels.info().origin.to_json()}}},
          {"init_from", start_hash}};
}

}  // namespace

Recipe resolve_recipe(const DistillOptions& options) {
  Json json = read_recipe(options.recipe);
  for (const std::string& assignment : options.overrides) apply_override(json, assignment);
  if (options.steps >= 0) json["schedule"]["steps"] = options.steps;
  return parse_recipe(json, "recipe " + options.recipe);
}

#ifndef RETORT_WITH_TORCH
void train(const TrainingJob&, TrainingSet&, const RunFolder&) {
  fail("{}", no_torch);
}
#endif

void run_distill(const DistillOptions& options) {
  if (!can_train) fail("{}", no_torch);
  TrainingJob job;
  job.recipe = resolve_recipe(options);
  const Corpus corpus = Corpus::read(options.corpus);
  const FrameStore labels = FrameStore::open(options.labels);
  check_labels(labels, job.recipe, options.teacher, options.labels);
  TrainingSet examples(corpus, labels, job.recipe.student, job.recipe.batch);
  job.recipe.student.classes = static_cast<int>(examples.classes());
  if (!options.init_from.empty()) job.start = read_model(options.init_from);
  job.seed = options.seed;
  job.threads = options.threads;
  job.device = options.device;

  const Json config = run_config(options, job.recipe, corpus, labels, job.start ? job.start->hash() : "");
  const RunFolder run(options.run, config, options.overwrite);
  if (run.finished()) {
    log_info("distill", "{} holds this run's student already: nothing to do", options.run);
    return;
  }
  job.provenance = {{"recipe", job.recipe.name},
                    {"corpus", config["corpus"]},
                    {"labels", config["labels"]},
                    {"seed", options.seed}};
  log_info("distill",
           "{} utterances to train on, {} shorter than batch.min_seconds left out; K = {}; {} parameters",
           examples.samples().size(), examples.left_out(), examples.classes(),
           count_parameters(job.recipe.student).backbone);
  train(job, examples, run);
}

}  // namespace retort
