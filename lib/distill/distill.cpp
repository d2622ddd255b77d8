#include "distill/distill.h"

#include "base/log.h"
#include "distill/run_folder.h"
#include "distill/train.h"
#include "distill/training_set.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
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

// Everything that a run is made from besides its recipe, as far as it was given.
struct Inputs {
  std::optional<ModelWeights> teacher;
  std::string teacher_hash;  // also where only its features were given
  std::string teacher_from;  // the option that says which teacher it is, for errors
  StoredTargets targets;
  std::optional<Codebook> codebook;
  std::optional<ModelWeights> start;
};

// A label store that has a label for every frame.
std::shared_ptr<const FrameStore> open_labels(const std::string& folder) {
  auto store = std::make_shared<const FrameStore>(FrameStore::open(folder));
  const FrameStore& labels = *store;
  if (labels.info().kind != StoreKind::labels) fail("{}: it holds features, not labels", folder);
  if (labels.info().dedup)
    fail("{}: runs were written once (--dedup), so they fit no frames; label without it", folder);
  return store;
}

// The stores of the layers that the objective compares: DIR, or DIR/LAYER of each, as retort-extract writes
// them.
std::vector<std::shared_ptr<const FrameStore>> open_features(const std::string& folder,
                                                             const std::vector<std::string>& layers) {
  std::vector<std::shared_ptr<const FrameStore>> stores;
  for (const std::string& layer : layers) {
    const bool alone = layers.size() == 1 && is_frame_store(folder);
    const std::string name = alone ? folder : (std::filesystem::path(folder) / layer).string();
    auto store = std::make_shared<const FrameStore>(FrameStore::open(name));
    const StoreInfo& info = store->info();
    if (info.kind != StoreKind::features) fail("{}: it holds labels, not features", name);
    if (info.origin.layer != layer)
      fail("{}: it holds layer {}, the recipe learns from {}", name, info.origin.layer, layer);
    if (!stores.empty() &&
        (info.origin.model != stores.front()->info().origin.model || info.dim != stores.front()->info().dim))
      fail("{}: comes from another model than {}", name, layers.front());
    stores.push_back(std::move(store));
  }
  return stores;
}

// Layers of the teacher whose features the objective can be given.
std::vector<std::string> wanted_layers(const Recipe& recipe, const std::optional<Codebook>& codebook) {
  if (std::holds_alternative<ClassDistillation>(recipe.objective)) return {codebook->origin.layer};
  std::vector<std::string> layers;
  for (const int layer : recipe.student.prediction.layers) layers.push_back(fmt::format("enc{}", layer));
  return layers;
}

// Labels made from another model, or from another layer than the recipe insists on, would train a wrong
// student silently.
void check_labels(const FrameStore& labels, const Recipe& recipe, const Inputs& inputs,
                  const DistillOptions& options, const std::string& folder) {
  const FrameOrigin& origin = labels.info().origin;
  if (!inputs.teacher_hash.empty() && origin.model != inputs.teacher_hash)
    fail("{}: labels come from model {}, {} is {}; label with that teacher", folder, origin.model,
         inputs.teacher_from, inputs.teacher_hash);
  const std::string layer = recipe.label_layer();
  if (!layer.empty() && origin.layer != layer)
    fail("{}: labels come from layer {}, the recipe wants {} (label_layer)", folder, origin.layer, layer);
  if (inputs.codebook && labels.info().codebook != inputs.codebook->hash())
    fail("{}: labels were made with codebook {}, --codebook {} is {}", folder, labels.info().codebook,
         options.codebook, inputs.codebook->hash());
}

void check_codebook(const Codebook& codebook, const Inputs& inputs, const DistillOptions& options) {
  if (codebook.origin.model != inputs.teacher_hash)
    fail("{}: the codebook is of model {}, {} is {}", options.codebook, codebook.origin.model,
         inputs.teacher_from, inputs.teacher_hash);
}

void check_features_usage(const DistillOptions& options, const Recipe& recipe) {
  if (!options.validation_features.empty() && options.validation.empty())
    fail_usage("--validation-features without --validation");
  if (!options.validation.empty() && options.validation_features.empty() != options.features.empty())
    fail_usage(
        "--validation and --features: give --validation-features if, and only if, there are --features");
  if (options.features.empty()) return;
  if (recipe.needs_labels()) fail_usage("--features: recipe {} learns from labels", recipe.name);
  if (recipe.masking())
    fail_usage("--features: recipe {} masks the teacher's input, so it has to run", recipe.name);
  if (std::holds_alternative<ClassDistillation>(recipe.objective) && options.codebook.empty())
    fail_usage("--codebook is missing: features tell recipe {} no classes without one", recipe.name);
}

// What the objective asks for and the command line lacks, or the other way round.
void check_usage(const DistillOptions& options, const Recipe& recipe) {
  if (recipe.needs_labels() && options.labels.empty())
    fail_usage("--labels is missing: recipe {} trains on labels", recipe.name);
  check_features_usage(options, recipe);
  if (recipe.needs_teacher(!options.features.empty()) && options.teacher.empty())
    fail_usage(
        "--teacher is missing: recipe {} {}", recipe.name,
        options.features.empty() ? "learns from the teacher itself" : "begins with the teacher's weights");
  const bool by_class = std::holds_alternative<ClassDistillation>(recipe.objective);
  if (!by_class && !options.codebook.empty())
    fail_usage("--codebook: recipe {} does not distill classes", recipe.name);
  if (!by_class && !recipe.needs_labels() && !options.labels.empty())
    fail_usage("--labels: recipe {} uses none", recipe.name);
  if (options.validation.empty() && !options.validation_labels.empty())
    fail_usage("--validation-labels without --validation");
  if (!options.validation.empty() && options.validation_labels.empty() != options.labels.empty())
    fail_usage("--validation and --labels: give --validation-labels if, and only if, there are --labels");
  if (options.new_head && options.init_from.empty()) fail_usage("--new-head without --init-from");
}

void drop_heads(ModelWeights& weights) {
  for (const TensorSpec& spec : model_tensors(weights.config))
    if (spec.role == TensorRole::head) weights.tensors.erase(spec.name);
}

// Features must be the teacher's; without a --teacher they say which one it is.
void read_teacher(const DistillOptions& options, Inputs& inputs) {
  const auto& features = inputs.targets.features;
  if (!features.empty()) {
    inputs.teacher_hash = features.front()->info().origin.model;
    inputs.teacher_from = "--features " + options.features;
  }
  if (options.teacher.empty()) return;
  inputs.teacher = read_model(options.teacher);
  const std::string hash = inputs.teacher->hash();
  if (!features.empty() && hash != inputs.teacher_hash)
    fail("{}: features come from model {}, --teacher {} is {}; extract with that teacher", options.features,
         inputs.teacher_hash, options.teacher, hash);
  inputs.teacher_hash = hash;
  inputs.teacher_from = "--teacher " + options.teacher;
}

Inputs read_inputs(const DistillOptions& options, const Recipe& recipe) {
  Inputs inputs;
  if (!options.codebook.empty()) inputs.codebook = read_codebook(options.codebook);
  if (!options.features.empty())
    inputs.targets.features = open_features(options.features, wanted_layers(recipe, inputs.codebook));
  read_teacher(options, inputs);
  if (inputs.codebook) check_codebook(*inputs.codebook, inputs, options);
  if (!options.labels.empty()) {
    inputs.targets.labels = open_labels(options.labels);
    check_labels(*inputs.targets.labels, recipe, inputs, options, options.labels);
  }
  if (!recipe.needs_teacher(!options.features.empty()))
    inputs.teacher.reset();  // its hash is all that was wanted
  return inputs;
}

// How many classes the student is to tell apart; 0 where it learns none.
int64_t class_count(const Recipe& recipe, const Inputs& inputs) {
  if (std::holds_alternative<LayerPrediction>(recipe.objective)) return 0;
  const int64_t of_labels = inputs.targets.labels ? inputs.targets.labels->info().clusters : 0;
  if (recipe.needs_labels()) return of_labels;
  const int64_t of_teacher = inputs.codebook ? inputs.codebook->clusters() : inputs.teacher->config.classes;
  if (of_teacher == 0)
    fail("--teacher: this model has no class head; give a --codebook of one of its layers");
  if (of_labels != 0 && of_labels != of_teacher)
    fail("--labels: they have K = {}, the teacher tells {} classes apart", of_labels, of_teacher);
  return of_teacher;
}

// Both must see the same frames.
void check_frames(const ModelConfig& student, const ModelConfig& teacher) {
  if (student.stride() != teacher.stride() || student.receptive_field() != teacher.receptive_field())
    fail("the student's frames (hop {}, {} samples each) are not the teacher's (hop {}, {} samples)",
         student.stride(), student.receptive_field(), teacher.stride(), teacher.receptive_field());
  if (teacher.time_reduction > 1)
    fail("--teacher: a model that reduces time has too few frames to learn from");
}

void check_teacher_masks(const Recipe& recipe, const ModelConfig& teacher) {
  if (!recipe.needs_labels() && recipe.masking() && !teacher.mask_embedding)
    fail("--teacher: recipe {} masks its input, and this model has no mask embedding", recipe.name);
}

void check_predicted_layers(const ModelConfig& student, const ModelConfig& teacher) {
  for (const int layer : student.prediction.layers)
    if (layer < 0 || layer > teacher.layers)
      fail("student.predicted_layers: the teacher has {} layers, so none is number {}; name others (--set)",
           teacher.layers, layer);
}

// Every tensor that a beginning of copy_from_teacher means must be the teacher's too, in the same shape.
void check_copies(const Recipe& recipe, const ModelWeights& teacher) {
  const std::vector<TensorSpec> tensors = model_tensors(recipe.student);
  for (const std::string& beginning : recipe.copy_from_teacher) {
    bool any = false;
    for (const TensorSpec& spec : tensors) {
      if (!spec.name.starts_with(beginning)) continue;
      any = true;
      const auto found = teacher.tensors.find(spec.name);
      if (found == teacher.tensors.end() || found->second.shape != spec.shape)
        fail(
            "copy_from_teacher {}: the teacher's {} {}; give the student the teacher's shape (--set "
            "student...) "
            "or leave this out (--set copy_from_teacher=[...])",
            beginning, spec.name, found == teacher.tensors.end() ? "does not exist" : "has another shape");
    }
    if (!any) fail("copy_from_teacher {}: no tensor of the student begins like this", beginning);
  }
}

// The job, with what the recipe leaves to labels and teacher.
TrainingJob make_job(const DistillOptions& options, Recipe recipe, const Inputs& inputs) {
  TrainingJob job;
  recipe.student.classes = static_cast<int>(class_count(recipe, inputs));
  if (inputs.teacher) {
    check_frames(recipe.student, inputs.teacher->config);
    check_predicted_layers(recipe.student, inputs.teacher->config);
    check_teacher_masks(recipe, inputs.teacher->config);
  }
  if (inputs.teacher || !inputs.targets.features.empty()) {
    recipe.student.prediction.dim =
        inputs.teacher ? inputs.teacher->config.hidden : inputs.targets.features.front()->info().dim;
    recipe.student.prediction.inner = recipe.student.hidden;
  }
  if (recipe.student.prediction.layers.empty()) recipe.student.prediction = {};
  check_model_config(recipe.student, "recipe " + recipe.name);
  if (inputs.teacher) check_copies(recipe, *inputs.teacher);
  job.recipe = std::move(recipe);
  job.seed = options.seed;
  job.threads = options.threads;
  job.device = options.device;
  job.start = inputs.start;
  job.teacher = inputs.teacher;
  job.features_stored = !inputs.targets.features.empty();
  job.codebook = inputs.codebook;
  if (job.start && options.new_head) drop_heads(*job.start);
  return job;
}

TrainingView view_of(const TrainingJob& job) {
  TrainingView view;
  view.student = job.recipe.student;
  if (job.teacher && !job.features_stored) view.teacher_wave_norm = job.teacher->config.wave_norm;
  view.masking = job.recipe.masking();
  return view;
}

Json labels_json(const FrameStore& labels) {
  return {{"hash", labels.hash()},
          {"codebook", labels.info().codebook},
          {"clusters", labels.info().clusters},
          {"origin", labels.info().origin.to_json()}};
}

Json features_json(const StoredTargets& targets) {
  Json json = Json::array();
  for (const auto& store : targets.features)
    json.push_back({{"hash", store->hash()},
                    {"dtype", store->info().dtype},
                    {"origin", store->info().origin.to_json()}});
  return json;
}

// What a run is made from: two runs are the same if this and the code are.
Json run_config(const DistillOptions& options, const Recipe& recipe, const Inputs& inputs,
                const Corpus& corpus, const Json& validation) {
  return {{"format", "retort-run-3"},
          {"recipe", recipe.to_json()},
          {"seed", options.seed},
          {"corpus", corpus.hash()},
          {"teacher", inputs.teacher_hash},
          {"labels", inputs.targets.labels ? labels_json(*inputs.targets.labels) : Json()},
          {"features", features_json(inputs.targets)},
          {"codebook", inputs.codebook ? inputs.codebook->hash() : ""},
          {"init_from", inputs.start ? inputs.start->hash() : ""},
          {"new_head", options.new_head},
          {"validation", validation}};
}

// The set to validate on, if there is one; `config` becomes what the run's config says of it.
std::unique_ptr<TrainingSet> validation_set(const DistillOptions& options, const TrainingJob& job,
                                            const Inputs& inputs, Json& config) {
  if (options.validation.empty()) return nullptr;
  const Corpus corpus = Corpus::read(options.validation);
  StoredTargets targets;
  if (inputs.targets.labels) {
    targets.labels = open_labels(options.validation_labels);
    if (targets.labels->info().codebook != inputs.targets.labels->info().codebook)
      fail("{}: labels were made with codebook {}, those to train on with {}", options.validation_labels,
           targets.labels->info().codebook, inputs.targets.labels->info().codebook);
  }
  if (!inputs.targets.features.empty()) {
    targets.features = open_features(options.validation_features, wanted_layers(job.recipe, inputs.codebook));
    if (const std::string& model = targets.features.front()->info().origin.model;
        model != inputs.teacher_hash)
      fail("{}: features come from model {}, those to train on from {}", options.validation_features, model,
           inputs.teacher_hash);
  }
  config = {{"corpus", corpus.hash()},
            {"labels", targets.labels ? labels_json(*targets.labels) : Json()},
            {"features", features_json(targets)}};
  return std::make_unique<TrainingSet>(corpus, std::move(targets), view_of(job),
                                       job.recipe.batch.min_seconds);
}

// The other processes that this one trains with, if any.
Processes meet_processes(const DistillOptions& options) {
  const ProcessEnvironment environment = process_environment();
  if (environment.count > 1 && options.device.find(':') != std::string::npos)
    fail_usage("--device {}: several processes cannot share it; give cuda, and each takes its own",
               options.device);
  return Processes(environment, options.device);
}

}  // namespace

Recipe resolve_recipe(const DistillOptions& options) {
  Json json = read_recipe(options.recipe);
  for (const std::string& assignment : options.overrides) apply_override(json, assignment);
  if (options.steps >= 0) json["schedule"]["steps"] = options.steps;
  return parse_recipe(json, "recipe " + options.recipe);
}

#ifndef RETORT_WITH_TORCH
void train(const TrainingJob&, TrainingSet&, TrainingSet*, const RunFolder&, const Processes&) {
  fail("{}", no_torch);
}
Json validate(const TrainingJob&, TrainingSet&) {
  fail("{}", no_torch);
}
#endif

void run_distill(const DistillOptions& options) {
  if (!can_train) fail("{}", no_torch);
  const Recipe recipe = resolve_recipe(options);
  check_usage(options, recipe);
  const Processes processes = meet_processes(options);
  const Corpus corpus = Corpus::read(options.corpus);
  Inputs inputs = read_inputs(options, recipe);
  if (!options.init_from.empty()) inputs.start = read_model(options.init_from);
  TrainingJob job = make_job(options, recipe, inputs);
  TrainingSet training(corpus, inputs.targets, view_of(job), job.recipe.batch.min_seconds);
  Json validation_config;
  const auto validation = validation_set(options, job, inputs, validation_config);

  const Json config = run_config(options, recipe, inputs, corpus, validation_config);
  require_agreement(processes, config);
  const RunFolder run =
      processes.leads() ? RunFolder(options.run, config, options.overwrite) : RunFolder(options.run);
  if (processes.of_leader(run.finished()) != 0) {
    if (processes.leads())
      log_info("distill", "{} holds this run's student already: nothing to do", options.run);
    return;
  }
  job.provenance = {{"recipe", job.recipe.name},
                    {"corpus", config["corpus"]},
                    {"teacher", config["teacher"]},
                    {"labels", config["labels"]},
                    {"seed", options.seed}};
  if (processes.leads())
    log_info("distill",
             "{} utterances to train on, {} shorter than batch.min_seconds left out; K = {}; {} parameters{}",
             training.samples().size(), training.left_out(), job.recipe.student.classes,
             count_parameters(job.recipe.student).backbone,
             processes.alone() ? "" : fmt::format("; {} processes", processes.count()));
  train(job, training, validation.get(), run, processes);
}

Json run_validation(const DistillOptions& options) {
  if (!can_train) fail("{}", no_torch);
  Recipe recipe = resolve_recipe(options);
  check_usage(options, recipe);
  if (options.init_from.empty())
    fail_usage("--init-from is missing: --validate-only measures a student that is there");
  if (process_environment().count > 1) fail_usage("--validate-only runs in one process");
  const Corpus corpus = Corpus::read(options.corpus);
  ModelWeights student = read_model(options.init_from);
  // The student is what it is: its own heads say which layers are compared.
  recipe.student = student.config;
  recipe.copy_from_teacher.clear();
  if (recipe.needs_labels() && recipe.student.classes == 0)
    fail("{}: this model has no class head to validate", options.init_from);
  if (std::holds_alternative<LayerPrediction>(recipe.objective) && recipe.student.prediction.layers.empty())
    fail("{}: this model has no prediction heads to validate", options.init_from);
  Inputs inputs = read_inputs(options, recipe);
  inputs.start = std::move(student);
  TrainingJob job = make_job(options, recipe, inputs);
  if (const std::string difference = config_difference(job.recipe.student, inputs.start->config);
      !difference.empty())
    fail("{}: its heads do not fit the labels or the teacher: {}", options.init_from, difference);
  TrainingSet set(corpus, inputs.targets, view_of(job), 0);
  return validate(job, set);
}

}  // namespace retort
