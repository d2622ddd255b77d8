#include "distill/recipe.h"

#include <algorithm>

#include "distill/builtin_recipes.h"
#include "model/normalise.h"

namespace retort {
namespace {

Json student_json(const ModelConfig& config) {
  Json channels = Json::array(), kernels = Json::array(), strides = Json::array();
  for (const ConvLayerShape& layer : config.conv) {
    channels.push_back(layer.channels);
    kernels.push_back(layer.kernel);
    strides.push_back(layer.stride);
  }
  return {{"conv_channels", channels},
          {"conv_kernels", kernels},
          {"conv_strides", strides},
          {"conv_norm", config.conv_norm == ConvNorm::group ? "group" : "layer"},
          {"conv_bias", config.conv_bias},
          {"hidden", config.hidden},
          {"layers", config.layers},
          {"heads", config.heads},
          {"ffn", config.ffn},
          {"pos_kernel", config.pos_kernel},
          {"pos_groups", config.pos_groups},
          {"pre_norm", config.pre_norm},
          {"final_dim", config.final_dim},
          {"hidden_dropout", config.hidden_dropout},
          {"attention_dropout", config.attention_dropout},
          {"activation_dropout", config.activation_dropout},
          {"projection_dropout", config.projection_dropout},
          {"layerdrop", config.layerdrop},
          {"wave_norm", config.wave_norm}};
}

std::vector<ConvLayerShape> parse_conv(const Json& student, const std::string& where) {
  const auto channels = json_get<std::vector<int>>(student, "conv_channels", where);
  const auto kernels = json_get<std::vector<int>>(student, "conv_kernels", where);
  const auto strides = json_get<std::vector<int>>(student, "conv_strides", where);
  if (channels.empty() || channels.size() != kernels.size() || channels.size() != strides.size())
    fail("{}: conv_channels, conv_kernels and conv_strides should have as many entries ({}, {}, {})", where,
         channels.size(), kernels.size(), strides.size());
  std::vector<ConvLayerShape> conv;
  for (std::size_t i = 0; i < channels.size(); ++i) conv.push_back({channels[i], kernels[i], strides[i]});
  return conv;
}

ModelConfig parse_student(const Json& json, const std::string& where) {
  ModelConfig config;
  config.conv = parse_conv(json, where);
  const auto norm = json_get<std::string>(json, "conv_norm", where);
  if (norm != "group" && norm != "layer") fail("{}: conv_norm {} should be group or layer", where, norm);
  config.conv_norm = norm == "group" ? ConvNorm::group : ConvNorm::layer;
  config.conv_bias = json_get<bool>(json, "conv_bias", where);
  config.hidden = json_get<int>(json, "hidden", where);
  config.layers = json_get<int>(json, "layers", where);
  config.heads = json_get<int>(json, "heads", where);
  config.ffn = json_get<int>(json, "ffn", where);
  config.pos_kernel = json_get<int>(json, "pos_kernel", where);
  config.pos_groups = json_get<int>(json, "pos_groups", where);
  config.pre_norm = json_get<bool>(json, "pre_norm", where);
  config.final_dim = json_get<int>(json, "final_dim", where);
  config.hidden_dropout = json_get<double>(json, "hidden_dropout", where);
  config.attention_dropout = json_get<double>(json, "attention_dropout", where);
  config.activation_dropout = json_get<double>(json, "activation_dropout", where);
  config.projection_dropout = json_get<double>(json, "projection_dropout", where);
  config.layerdrop = json_get<double>(json, "layerdrop", where);
  config.wave_norm = json_get<std::string>(json, "wave_norm", where);
  return config;
}

void check_student(const ModelConfig& student, const std::string& where) {
  for (const auto& [name, value] : {std::pair{"hidden", student.hidden},
                                    {"layers", student.layers},
                                    {"heads", student.heads},
                                    {"ffn", student.ffn},
                                    {"pos_kernel", student.pos_kernel},
                                    {"pos_groups", student.pos_groups},
                                    {"final_dim", student.final_dim}})
    if (value < 1) fail("{}: {} {} should be at least 1", where, name, value);
  if (student.hidden % student.heads != 0)
    fail("{}: hidden {} is no multiple of heads {}", where, student.hidden, student.heads);
  if (student.hidden % student.pos_groups != 0)
    fail("{}: hidden {} is no multiple of pos_groups {}", where, student.hidden, student.pos_groups);
  if (!is_wave_norm(student.wave_norm))
    fail("{}: wave_norm {} is none of {}", where, student.wave_norm, known_wave_norms);
  for (const auto& [name, value] : {std::pair{"hidden_dropout", student.hidden_dropout},
                                    {"attention_dropout", student.attention_dropout},
                                    {"activation_dropout", student.activation_dropout},
                                    {"projection_dropout", student.projection_dropout},
                                    {"layerdrop", student.layerdrop}})
    if (value < 0 || value >= 1) fail("{}: {} {} should be in [0, 1)", where, name, value);
}

void check_training(const Recipe& recipe, const std::string& where) {
  if (recipe.loss.masked < 0 || recipe.loss.unmasked < 0 || recipe.loss.masked + recipe.loss.unmasked <= 0)
    fail("{}: loss.masked and loss.unmasked should not be negative, nor both 0", where);
  if (recipe.masking.probability < 0 || recipe.masking.probability > 1)
    fail("{}: masking.probability {} should be in [0, 1]", where, recipe.masking.probability);
  if (recipe.masking.length < 1)
    fail("{}: masking.length {} should be at least 1", where, recipe.masking.length);
  if (recipe.optimizer.lr <= 0) fail("{}: optimizer.lr {} should be above 0", where, recipe.optimizer.lr);
  if (recipe.schedule.steps < 0 || recipe.schedule.warmup_steps < 0)
    fail("{}: schedule.steps and schedule.warmup_steps should not be negative", where);
  if (recipe.batch.max_seconds < recipe.batch.min_seconds)
    fail("{}: batch.max_seconds {} is below batch.min_seconds {}", where, recipe.batch.max_seconds,
         recipe.batch.min_seconds);
  if (recipe.batch.seconds <= 0 || recipe.batch.micro_seconds <= 0)
    fail("{}: batch.seconds and batch.micro_seconds should be above 0", where);
  if (recipe.report_every < 1 || recipe.checkpoint_every < 1)
    fail("{}: report_every and checkpoint_every should be at least 1", where);
}

Json* find_key(Json& recipe, const std::string& key) {
  Json* at = &recipe;
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t dot = std::min(key.find('.', begin), key.size());
    const auto found = at->is_object() ? at->find(key.substr(begin, dot - begin)) : at->end();
    if (!at->is_object() || found == at->end()) return nullptr;
    at = &*found;
    begin = dot + 1;
  }
  return at;
}

bool same_kind(const Json& old_value, const Json& value) {
  if (old_value.is_number_integer()) return value.is_number_integer();
  if (old_value.is_number()) return value.is_number();
  return old_value.type() == value.type();
}

}  // namespace

Json Recipe::to_json() const {
  return {
      {"name", name},
      {"paper", paper},
      {"notes", notes},
      {"student", student_json(student)},
      {"label_layer", label_layer},
      {"feature_grad_mult", feature_grad_mult},
      {"loss",
       {{"masked", loss.masked}, {"unmasked", loss.unmasked}, {"feature_penalty", loss.feature_penalty}}},
      {"masking",
       {{"probability", masking.probability}, {"length", masking.length}, {"min_spans", masking.min_spans}}},
      {"optimizer",
       {{"lr", optimizer.lr},
        {"beta1", optimizer.beta1},
        {"beta2", optimizer.beta2},
        {"eps", optimizer.eps},
        {"weight_decay", optimizer.weight_decay},
        {"clip_norm", optimizer.clip_norm}}},
      {"schedule", {{"steps", schedule.steps}, {"warmup_steps", schedule.warmup_steps}}},
      {"batch",
       {{"seconds", batch.seconds},
        {"micro_seconds", batch.micro_seconds},
        {"min_seconds", batch.min_seconds},
        {"max_seconds", batch.max_seconds}}},
      {"report_every", report_every},
      {"checkpoint_every", checkpoint_every}};
}

Recipe parse_recipe(const Json& json, const std::string& where) {
  const auto section = [&](const char* key) -> Json { return json_get<Json>(json, key, where); };
  const auto number = [&](const char* key, const char* inner) {
    return json_get<double>(section(key), inner, where + ": " + key);
  };
  Recipe recipe;
  recipe.name = json_get<std::string>(json, "name", where);
  recipe.paper = json_get<std::string>(json, "paper", where);
  recipe.notes = json_get<std::vector<std::string>>(json, "notes", where);
  recipe.student = parse_student(section("student"), where + ": student");
  recipe.label_layer = json_get<std::string>(json, "label_layer", where);
  recipe.feature_grad_mult = json_get<double>(json, "feature_grad_mult", where);
  recipe.loss = {number("loss", "masked"), number("loss", "unmasked"), number("loss", "feature_penalty")};
  recipe.masking = {number("masking", "probability"), json_get<int>(section("masking"), "length", where),
                    json_get<int>(section("masking"), "min_spans", where)};
  recipe.optimizer = {number("optimizer", "lr"),           number("optimizer", "beta1"),
                      number("optimizer", "beta2"),        number("optimizer", "eps"),
                      number("optimizer", "weight_decay"), number("optimizer", "clip_norm")};
  recipe.schedule = {json_get<int64_t>(section("schedule"), "steps", where),
                     json_get<int64_t>(section("schedule"), "warmup_steps", where)};
  recipe.batch = {number("batch", "seconds"), number("batch", "micro_seconds"),
                  number("batch", "min_seconds"), number("batch", "max_seconds")};
  recipe.report_every = json_get<int64_t>(json, "report_every", where);
  recipe.checkpoint_every = json_get<int64_t>(json, "checkpoint_every", where);
  // What was understood is what is written back: a key that is missing there is one nobody reads.
  const std::string unread = first_difference(json, recipe.to_json());
  if (!unread.empty()) fail("{}: unknown or ill-typed key: {}", where, unread);
  check_student(recipe.student, where + ": student");
  check_training(recipe, where);
  return recipe;
}

std::vector<std::string> builtin_recipes() {
  std::vector<std::string> names;
  for (const BuiltinRecipe& recipe : builtin_recipe_texts()) names.emplace_back(recipe.name);
  return names;
}

Json read_recipe(const std::string& name_or_file) {
  if (name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".json"))
    return read_json(name_or_file);
  for (const BuiltinRecipe& recipe : builtin_recipe_texts())
    if (name_or_file == recipe.name) return parse_json(recipe.text, "recipe " + name_or_file);
  fail_usage("--recipe {}: no such recipe (built in: {}; or name a .json file)", name_or_file,
             fmt::join(builtin_recipes(), ", "));
}

void apply_override(Json& recipe, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) fail_usage("--set {}: should be key=value", assignment);
  const std::string key = assignment.substr(0, equals);
  Json* old_value = find_key(recipe, key);
  if (old_value == nullptr || old_value->is_object())
    fail_usage("--set {}: the recipe has no value called {} (--print-config shows all)", assignment, key);
  const std::string text = assignment.substr(equals + 1);
  Json value = old_value->is_string() ? Json(text) : Json::parse(text, nullptr, false);
  if (value.is_discarded() || !same_kind(*old_value, value))
    fail_usage("--set {}: {} is {}, so {} cannot replace it", assignment, key, old_value->dump(), text);
  if (old_value->is_number_float()) value = value.get<double>();
  *old_value = std::move(value);
}

}  // namespace retort
