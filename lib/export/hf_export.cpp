#include "export/hf_export.h"

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace retort {
namespace {

constexpr const char* module_name = "modeling_retort";

// The file has a pair of classes, Config and Model, of this name.
std::string class_name(const ModelConfig& config) {
  if (config.type == "fithubert") return "FitHubert";
  return config.blocks == BlockKind::lstm ? "HubertLstm" : "HubertWithHeads";
}

bool has_heads(const ModelConfig& config) {
  return config.prediction.kind != PredictionHeads::Kind::none;
}

}  // namespace

bool needs_modelling_file(const ModelConfig& config) {
  return config.type == "fithubert" || config.blocks == BlockKind::lstm || has_heads(config);
}

void check_hf_can_hold(const ModelConfig& config, const std::string& where) {
  const bool own_type = config.type == "fithubert" || config.type == "hubert-lstm";
  const bool plain = config.type == "hubert" && config.positional == PositionalForm::weight_norm;
  if (has_heads(config) && !own_type && !plain)
    fail("{}: no class for transformers has a {} with prediction heads; export it without --heads", where,
         config.type);
}

void add_modelling_file(const std::filesystem::path& folder, const ModelConfig& config) {
  const std::string name = class_name(config);
  Json json = read_json(folder / "config.json");
  json["architectures"] = {name + "Model"};
  json["auto_map"] = {{"AutoConfig", fmt::format("{}.{}Config", module_name, name)},
                      {"AutoModel", fmt::format("{}.{}Model", module_name, name)}};
  const Json own = own_config_json(config);
  if (has_heads(config)) json["prediction_heads"] = own.at("prediction_heads");
  write_json(folder / "config.json", json);
  AtomicFile file(folder / fmt::format("{}.py", module_name));
  file.write(modelling_file_text());
  file.commit();
}

}  // namespace retort
