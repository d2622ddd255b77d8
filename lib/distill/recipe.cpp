#include "distill/recipe.h"

#include <algorithm>

#include "base/embedded_json.h"
#include "base/overrides.h"
#include "distill/builtin_recipes.h"
#include "model/shape.h"

namespace retort {
namespace {

// Weights that are not negative, nor all 0.
void require_weights(const std::string& where,
                     std::initializer_list<std::pair<const char*, double>> weights) {
  bool any = false;
  for (const auto& [name, weight] : weights) {
    if (weight < 0) fail("{}: loss.{} {} should not be negative", where, name, weight);
    any = any || weight > 0;
  }
  if (!any) fail("{}: loss.{} and what goes with it should not all be 0", where, weights.begin()->first);
}

Json masking_json(const MaskingOptions& masking) {
  return {{"probability", masking.probability}, {"length", masking.length}, {"min_spans", masking.min_spans}};
}

MaskingOptions parse_masking(const Json& json, const std::string& where) {
  MaskingOptions masking{json_get<double>(json, "probability", where), json_get<int>(json, "length", where),
                         json_get<int>(json, "min_spans", where)};
  if (masking.probability < 0 || masking.probability > 1)
    fail("{}.probability {} should be in [0, 1]", where, masking.probability);
  if (masking.length < 1) fail("{}.length {} should be at least 1", where, masking.length);
  return masking;
}

// One objective's name and its part of a recipe's keys.
template <class T>
struct ObjectiveFormat;

template <>
struct ObjectiveFormat<MaskedPrediction> {
  static constexpr const char* name = "masked_prediction";

  static MaskedPrediction parse(const Json& recipe, const Json& loss, const std::string& where) {
    MaskedPrediction objective;
    objective.masked = json_get<double>(loss, "masked", where);
    objective.unmasked = json_get<double>(loss, "unmasked", where);
    objective.feature_penalty = json_get<double>(loss, "feature_penalty", where);
    objective.masking = parse_masking(json_get<Json>(recipe, "masking", where), where + ": masking");
    objective.label_layer = json_get<std::string>(recipe, "label_layer", where);
    require_weights(where, {{"masked", objective.masked}, {"unmasked", objective.unmasked}});
    return objective;
  }

  static void write(const MaskedPrediction& objective, Json& recipe) {
    recipe["label_layer"] = objective.label_layer;
    recipe["loss"] = {{"masked", objective.masked},
                      {"unmasked", objective.unmasked},
                      {"feature_penalty", objective.feature_penalty}};
    recipe["masking"] = masking_json(objective.masking);
  }
};

template <>
struct ObjectiveFormat<LayerPrediction> {
  static constexpr const char* name = "layer_prediction";

  static LayerPrediction parse(const Json& recipe, const Json& loss, const std::string& where) {
    LayerPrediction objective;
    objective.l1 = json_get<double>(loss, "l1", where);
    objective.squared = json_get<double>(loss, "squared", where);
    objective.cosine = json_get<double>(loss, "cosine", where);
    objective.hint_weight = json_get<double>(loss, "hint_weight", where);
    objective.last_weight = json_get<double>(loss, "last_weight", where);
    objective.mean_over_layers = json_get<bool>(loss, "mean_over_layers", where);
    if (recipe.contains("masking")) objective.masking = parse_masking(recipe["masking"], where + ": masking");
    require_weights(where,
                    {{"l1", objective.l1}, {"squared", objective.squared}, {"cosine", objective.cosine}});
    require_weights(where, {{"hint_weight", objective.hint_weight}, {"last_weight", objective.last_weight}});
    return objective;
  }

  static void write(const LayerPrediction& objective, Json& recipe) {
    recipe["loss"] = {{"l1", objective.l1},
                      {"squared", objective.squared},
                      {"cosine", objective.cosine},
                      {"hint_weight", objective.hint_weight},
                      {"last_weight", objective.last_weight},
                      {"mean_over_layers", objective.mean_over_layers}};
    if (objective.masking) recipe["masking"] = masking_json(*objective.masking);
  }
};

template <>
struct ObjectiveFormat<ClassDistillation> {
  static constexpr const char* name = "class_distillation";

  static ClassDistillation parse(const Json& recipe, const Json& loss, const std::string& where) {
    ClassDistillation objective;
    objective.cross_entropy = json_get<double>(loss, "cross_entropy", where);
    objective.distillation = json_get<double>(loss, "distillation", where);
    objective.target_class = json_get<double>(loss, "target_class", where);
    objective.other_classes = json_get<double>(loss, "other_classes", where);
    objective.temperature = json_get<double>(loss, "temperature", where);
    objective.codebook_scale = json_get<double>(loss, "codebook_scale", where);
    objective.label_layer = json_get<std::string>(recipe, "label_layer", where);
    require_weights(where, {{"cross_entropy", objective.cross_entropy},
                            {"distillation", objective.distillation},
                            {"target_class", objective.target_class},
                            {"other_classes", objective.other_classes}});
    if (objective.temperature <= 0 || objective.codebook_scale <= 0)
      fail("{}: loss.temperature and loss.codebook_scale should be above 0", where);
    return objective;
  }

  static void write(const ClassDistillation& objective, Json& recipe) {
    recipe["label_layer"] = objective.label_layer;
    recipe["loss"] = {
        {"cross_entropy", objective.cross_entropy}, {"distillation", objective.distillation},
        {"target_class", objective.target_class},   {"other_classes", objective.other_classes},
        {"temperature", objective.temperature},     {"codebook_scale", objective.codebook_scale}};
  }
};

Objective parse_objective(const Json& recipe, const std::string& where) {
  const auto name = json_get<std::string>(recipe, "objective", where);
  const auto loss = json_get<Json>(recipe, "loss", where);
  const auto parse = [&]<class T>(const T&, Objective& objective) {
    if (name != ObjectiveFormat<T>::name) return false;
    objective = ObjectiveFormat<T>::parse(recipe, loss, fmt::format("{}: {}", where, name));
    return true;
  };
  Objective objective;
  if (!parse(MaskedPrediction(), objective) && !parse(LayerPrediction(), objective) &&
      !parse(ClassDistillation(), objective))
    fail("{}: objective {} should be masked_prediction, layer_prediction or class_distillation", where, name);
  return objective;
}

Precision parse_precision(const std::string& name, const std::string& where) {
  if (name != "f32" && name != "bf16") fail("{}: precision {} should be f32 or bf16", where, name);
  return name == "bf16" ? Precision::bf16 : Precision::f32;
}

void check_training(const Recipe& recipe, const std::string& where) {
  if (recipe.optimizer.lr <= 0) fail("{}: optimizer.lr {} should be above 0", where, recipe.optimizer.lr);
  if (recipe.schedule.steps < 0 || recipe.schedule.warmup_steps < 0)
    fail("{}: schedule.steps and schedule.warmup_steps should not be negative", where);
  if (recipe.batch.max_seconds < recipe.batch.min_seconds)
    fail("{}: batch.max_seconds {} is below batch.min_seconds {}", where, recipe.batch.max_seconds,
         recipe.batch.min_seconds);
  if (recipe.batch.seconds <= 0 || recipe.batch.micro_seconds <= 0)
    fail("{}: batch.seconds and batch.micro_seconds should be above 0", where);
  if (recipe.report_every < 1 || recipe.validate_every < 1 || recipe.checkpoint_every < 1 ||
      recipe.keep_checkpoints < 1)
    fail("{}: report_every, validate_every, checkpoint_every and keep_checkpoints should be at least 1",
         where);
}

// What the objective asks of the student's shape.
void check_student(const Recipe& recipe, const std::string& where) {
  const ModelConfig& student = recipe.student;
  const bool predicts_layers = std::holds_alternative<LayerPrediction>(recipe.objective);
  if (predicts_layers == student.prediction.layers.empty())
    fail("{}: prediction heads and the objective layer_prediction go together", where);
  if (recipe.masking() && !student.mask_embedding) fail("{}: masking needs student.mask_embedding", where);
  if (!predicts_layers && student.class_head == ClassHead::cosine && student.final_dim < 1)
    fail("{}: student.final_dim {} should be at least 1 for a cosine head", where, student.final_dim);
}

}  // namespace

std::string Recipe::label_layer() const {
  if (const auto* masked = std::get_if<MaskedPrediction>(&objective)) return masked->label_layer;
  if (const auto* classes = std::get_if<ClassDistillation>(&objective)) return classes->label_layer;
  return "";
}

std::optional<MaskingOptions> Recipe::masking() const {
  if (const auto* masked = std::get_if<MaskedPrediction>(&objective)) return masked->masking;
  if (const auto* layers = std::get_if<LayerPrediction>(&objective)) return layers->masking;
  return std::nullopt;
}

Json Recipe::to_json() const {
  Json json = {{"name", name},
               {"paper", paper},
               {"notes", notes},
               {"student", shape_json(student)},
               {"copy_from_teacher", copy_from_teacher},
               {"feature_grad_mult", feature_grad_mult},
               {"precision", precision == Precision::bf16 ? "bf16" : "f32"}};
  std::visit(
      [&json]<class T>(const T& chosen) {
        json["objective"] = ObjectiveFormat<T>::name;
        ObjectiveFormat<T>::write(chosen, json);
      },
      objective);
  json["optimizer"] = {{"lr", optimizer.lr},
                       {"beta1", optimizer.beta1},
                       {"beta2", optimizer.beta2},
                       {"eps", optimizer.eps},
                       {"weight_decay", optimizer.weight_decay},
                       {"decay_biases", optimizer.decay_biases},
                       {"clip_norm", optimizer.clip_norm}};
  json["schedule"] = {{"steps", schedule.steps}, {"warmup_steps", schedule.warmup_steps}};
  json["batch"] = {{"seconds", batch.seconds},
                   {"micro_seconds", batch.micro_seconds},
                   {"min_seconds", batch.min_seconds},
                   {"max_seconds", batch.max_seconds},
                   {"pad", batch.pad}};
  json["report_every"] = report_every;
  json["validate_every"] = validate_every;
  json["checkpoint_every"] = checkpoint_every;
  json["keep_checkpoints"] = keep_checkpoints;
  return json;
}

Recipe parse_recipe(const Json& json, const std::string& where) {
  const auto section = [&](const char* key) { return json_get<Json>(json, key, where); };
  const auto number = [&](const char* key, const char* inner) {
    return json_get<double>(section(key), inner, where + ": " + key);
  };
  Recipe recipe;
  recipe.name = json_get<std::string>(json, "name", where);
  recipe.paper = json_get<std::string>(json, "paper", where);
  recipe.notes = json_get<std::vector<std::string>>(json, "notes", where);
  recipe.student = parse_shape(section("student"), where + ": student");
  recipe.copy_from_teacher = json_get<std::vector<std::string>>(json, "copy_from_teacher", where);
  recipe.feature_grad_mult = json_get<double>(json, "feature_grad_mult", where);
  recipe.precision = parse_precision(json_get<std::string>(json, "precision", where), where);
  recipe.objective = parse_objective(json, where);
  recipe.optimizer = {
      number("optimizer", "lr"),           number("optimizer", "beta1"),
      number("optimizer", "beta2"),        number("optimizer", "eps"),
      number("optimizer", "weight_decay"), json_get<bool>(section("optimizer"), "decay_biases", where),
      number("optimizer", "clip_norm")};
  recipe.schedule = {json_get<int64_t>(section("schedule"), "steps", where),
                     json_get<int64_t>(section("schedule"), "warmup_steps", where)};
  recipe.batch = {number("batch", "seconds"), number("batch", "micro_seconds"),
                  number("batch", "min_seconds"), number("batch", "max_seconds"),
                  json_get<bool>(section("batch"), "pad", where)};
  recipe.report_every = json_get<int64_t>(json, "report_every", where);
  recipe.validate_every = json_get<int64_t>(json, "validate_every", where);
  recipe.checkpoint_every = json_get<int64_t>(json, "checkpoint_every", where);
  recipe.keep_checkpoints = json_get<int64_t>(json, "keep_checkpoints", where);
  // What was understood is what is written back: a key that is missing there is one nobody reads.
  const std::string unread = first_difference(json, recipe.to_json());
  if (!unread.empty()) fail("{}: unknown or ill-typed key: {}", where, unread);
  check_student(recipe, where);
  check_training(recipe, where);
  return recipe;
}

std::vector<std::string> builtin_recipes() {
  return names_of(builtin_recipe_texts());
}

Json read_recipe(const std::string& name_or_file) {
  return read_embedded_json(builtin_recipe_texts(), "recipe", name_or_file);
}

void apply_override(Json& recipe, const std::string& assignment) {
  apply_override(recipe, assignment, "recipe");
}

}  // namespace retort
