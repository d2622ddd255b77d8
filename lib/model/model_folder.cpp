#include "model/model_folder.h"

#include <fmt/ranges.h>

#include <optional>
#include <set>

#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/half.h"
#include "store/safetensors.h"

namespace retort {
namespace {

constexpr int own_format = 1;  // of retort.json

// The weights of a folder: one file, or several that an index names. Keeps the files mapped.
class WeightFiles {
 public:
  explicit WeightFiles(const std::filesystem::path& folder) {
    const std::filesystem::path single = folder / "model.safetensors";
    const std::filesystem::path index = folder / "model.safetensors.index.json";
    if (std::filesystem::exists(single)) {
      add_file(single);
    } else if (std::filesystem::exists(index)) {
      for (const std::string& name : files_of(index)) add_file(folder / name);
    } else {
      fail("{}: no model.safetensors in it", folder.string());
    }
  }

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

 private:
  static std::set<std::string> files_of(const std::filesystem::path& index) {
    const std::string where = index.string();
    std::set<std::string> names;
    const Json weight_map = json_get<Json>(read_json(index), "weight_map", where);
    for (const auto& [tensor, file] : weight_map.items()) {
      if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos) {
        fail("{}: the file of {} should be a name in this folder, it is {}", where, tensor, file.dump());
      }
      names.insert(file.get<std::string>());
    }
    return names;
  }

  void add_file(const std::filesystem::path& path) {
    files_.emplace_back(path);
    for (const auto& [name, view] : files_.back().tensors()) {
      if (!tensors_.emplace(name, view).second) fail("{}: tensor {} is in two files", path.string(), name);
    }
  }

  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> tensors_;
};

bool replace_end(std::string& text, std::string_view from, std::string_view to) {
  if (!text.ends_with(from)) return false;
  text.replace(text.size() - from.size(), from.size(), to);
  return true;
}

// Hugging Face's names in their older spelling, without the prefix that models with a task head give the
// encoder.
std::string canonical_name(std::string name) {
  for (const std::string_view prefix : {"hubert.", "wav2vec2."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  if (!replace_end(name, "parametrizations.weight.original0", "weight_g")) {
    replace_end(name, "parametrizations.weight.original1", "weight_v");
  }
  return name;
}

// Tensors of tasks that a fine-tuned or pre-training checkpoint carries beside the encoder.
bool belongs_to_task_head(const std::string& name) {
  for (const std::string_view prefix : {"lm_head.", "projector.", "classifier.", "layer_weights",
                                        "quantizer.", "project_hid.", "project_q."}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

// The tensors of a folder by canonical name, those that no encoder has left out.
std::map<std::string, TensorView> canonical_tensors(const WeightFiles& files, const ModelConfig& config,
                                                    const std::string& folder) {
  std::map<std::string, TensorView> found;
  std::vector<std::string> ignored;
  for (const auto& [name, view] : files.tensors()) {
    const std::string canonical = canonical_name(name);
    const bool idle_mask = canonical == "masked_spec_embed" && !config.mask_embedding;
    if (idle_mask || belongs_to_task_head(canonical)) {
      ignored.push_back(name);
    } else if (!found.emplace(canonical, view).second) {
      fail("{}: tensor {} is there in two spellings", folder, canonical);
    }
  }
  if (!ignored.empty()) log_info("model", "{}: ignored {}", folder, fmt::join(ignored, ", "));
  return found;
}

// Gathers what is wrong with a folder's tensors and says it in one line.
class TensorProblems {
 public:
  void missing(const std::string& name) { missing_.push_back(name); }
  void extra(const std::string& name) { extra_.push_back(name); }
  void wrong(const std::string& what) { wrong_.push_back(what); }

  void fail_if_any(const std::string& folder) const {
    std::vector<std::string> parts;
    describe(parts, missing_, "missing");
    describe(parts, extra_, "not of this model");
    describe(parts, wrong_, "of another shape or type");
    if (!parts.empty()) fail("{}: the weights do not fit config.json: {}", folder, fmt::join(parts, "; "));
  }

 private:
  static void describe(std::vector<std::string>& parts, const std::vector<std::string>& names,
                       const char* what) {
    constexpr size_t most_named = 3;
    if (names.empty()) return;
    const size_t named = std::min(names.size(), most_named);
    std::string list =
        fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<long>(named), ", "));
    if (names.size() > named) list += fmt::format(" and {} more", names.size() - named);
    parts.push_back(
        fmt::format("{} {} {} ({})", names.size(), names.size() == 1 ? "tensor" : "tensors", what, list));
  }

  std::vector<std::string> missing_, extra_, wrong_;
};

bool is_float_type(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ","));
}

void check_tensors(const std::map<std::string, TensorView>& found, const ModelConfig& config,
                   const std::string& folder) {
  TensorProblems problems;
  std::set<std::string> expected;
  for (const TensorSpec& spec : model_tensors(config)) {
    expected.insert(spec.name);
    const auto view = found.find(spec.name);
    if (view == found.end()) {
      problems.missing(spec.name);
    } else if (view->second.shape != spec.shape) {
      problems.wrong(fmt::format("{} is {}, should be {}", spec.name, shape_text(view->second.shape),
                                 shape_text(spec.shape)));
    } else if (!is_float_type(view->second.dtype)) {
      problems.wrong(fmt::format("{} is {}, should be F32, F16 or BF16", spec.name, view->second.dtype));
    }
  }
  for (const auto& [name, view] : found) {
    if (!expected.contains(name)) problems.extra(name);
  }
  problems.fail_if_any(folder);
}

bool shapes_features(const TensorSpec& spec) {
  return spec.role != TensorRole::head && spec.role != TensorRole::mask;
}

// Refuses weights that were changed after retort.json was written beside them.
void check_stated_hash(const Json& own, const ModelWeights& model, const std::string& where) {
  const auto stated = json_get_or<std::string>(own, "hash", "", where);
  if (stated.empty()) return;
  const std::string actual = model.hash();
  if (stated != actual)
    fail("{}: it says that the weights hash to {}, they hash to {}: they were changed", where, stated,
         actual);
}

// A tensor's bytes in the type of the file; f32 is borrowed, f16 is made in `storage`.
TensorToWrite tensor_to_write(const std::string& name, const NamedTensor& tensor, const std::string& dtype,
                              std::vector<uint16_t>& storage) {
  if (dtype == "f32")
    return {name, "F32", tensor.shape, tensor.values.data(), tensor.values.size() * sizeof(float)};
  storage.reserve(tensor.values.size());
  for (const float value : tensor.values) storage.push_back(f16_from_f32(value));
  return {name, "F16", tensor.shape, storage.data(), storage.size() * sizeof(uint16_t)};
}

}  // namespace

std::string ModelWeights::hash() const {
  std::set<std::string> counted;
  for (const TensorSpec& spec : model_tensors(config)) {
    if (shapes_features(spec)) counted.insert(spec.name);
  }
  Hasher hasher;
  for (const auto& [name, tensor] : tensors) {
    if (!counted.contains(name)) continue;
    hasher.add(fmt::format("{}{}\n", name, shape_text(tensor.shape)));
    hasher.add(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  return hasher.hex();
}

ModelWeights read_model(const std::filesystem::path& folder) {
  ModelWeights model;
  model.config = read_model_config(folder);
  const WeightFiles files(folder);
  const auto found = canonical_tensors(files, model.config, folder.string());
  if (model.config.mask_embedding && !found.contains("masked_spec_embed")) {
    log_info("model", "{}: it has no mask embedding, which only training needs", folder.string());
    model.config.mask_embedding = false;
  }
  check_tensors(found, model.config, folder.string());
  for (const auto& [name, view] : found) model.tensors[name] = {view.shape, view.to_f32(name)};

  const std::filesystem::path own_file = folder / "retort.json";
  if (std::filesystem::exists(own_file)) {
    const Json own = read_json(own_file);
    model.provenance = json_get_or(own, "provenance", Json::object(), own_file.string());
    check_stated_hash(own, model, own_file.string());
  }
  return model;
}

void write_model(const std::filesystem::path& folder, const ModelWeights& model) {
  make_folder(folder);
  write_hf_model(folder, model, "f32");
  write_json(folder / "retort.json", {{"format", own_format},
                                      {"hash", model.hash()},
                                      {"wave_norm", model.config.wave_norm},
                                      {"final_dim", model.config.final_dim},
                                      {"classes", model.config.classes},
                                      {"provenance", model.provenance}});
}

void write_hf_model(const std::filesystem::path& folder, const ModelWeights& model,
                    const std::string& dtype) {
  if (dtype != "f32" && dtype != "f16") fail_usage("dtype {} is not one of f32, f16", dtype);
  make_folder(folder);
  std::vector<std::vector<uint16_t>> storage(model.tensors.size());
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : model.tensors) {
    tensors.push_back(tensor_to_write(name, tensor, dtype, storage[tensors.size()]));
  }
  write_safetensors(folder / "model.safetensors", std::move(tensors));
  write_json(folder / "preprocessor_config.json", preprocessor_json(model.config));
  Json config = hf_config_json(model.config);
  config["torch_dtype"] = dtype == "f32" ? "float32" : "float16";
  write_json(folder / "config.json", config);
}

}  // namespace retort
