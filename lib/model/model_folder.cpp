#include "model/model_folder.h"

#include <fmt/ranges.h>

#include <set>

#include "base/files.h"
#include "base/log.h"
#include "model/tensor_names.h"
#include "model/tensor_sources.h"
#include "store/half.h"
#include "store/safetensors.h"

namespace retort {
namespace {

constexpr int own_format = 1;  // of retort.json

// The files that an index names, each once.
std::set<std::string> files_of(const std::filesystem::path& index) {
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

// The weights of a folder: one file, or several that an index names.
TensorSource open_weights(const std::filesystem::path& folder) {
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    const std::filesystem::path file = folder / name;
    if (std::filesystem::exists(file)) return open_tensors(file);
    const std::filesystem::path index = folder / fmt::format("{}.index.json", name);
    if (!std::filesystem::exists(index)) continue;
    TensorSource all;
    for (const std::string& part : files_of(index)) {
      for (auto& [tensor, source] : open_tensors(folder / part)) {
        if (!all.emplace(tensor, std::move(source)).second)
          fail("{}: tensor {} is in two files", (folder / part).string(), tensor);
      }
    }
    return all;
  }
  fail("{}: no model.safetensors or pytorch_model.bin in it", folder.string());
}

// Hugging Face's names in their older spelling, without the prefix that models with a task head give the
// encoder.
std::string canonical_name(std::string name) {
  for (const std::string_view prefix : {"hubert.", "wav2vec2.", "wavlm.", "data2vec_audio."}) {
    replace_begin(name, prefix, "");
  }
  use_old_weight_norm_names(name);
  return name;
}

// Tensors of tasks that a fine-tuned or pre-training checkpoint carries beside the encoder, and counts that
// only training uses.
bool is_no_encoders(const std::string& name) {
  for (const std::string_view prefix : {"lm_head.", "projector.", "classifier.", "layer_weights",
                                        "quantizer.", "project_hid.", "project_q.", "tdnn.", "objective."}) {
    if (name.starts_with(prefix)) return true;
  }
  return name.ends_with("num_batches_tracked") || name == "feature_extractor.weight" ||
         name == "feature_extractor.bias";
}

// The tensors of a folder by canonical name, those that no encoder has left out.
TensorSource canonical_tensors(const TensorSource& source, const ModelConfig& config,
                               const std::string& folder) {
  TensorSource found;
  std::vector<std::string> ignored;
  for (const auto& [name, tensor] : source) {
    const std::string canonical = canonical_name(name);
    const bool idle_mask = canonical == "masked_spec_embed" && !config.mask_embedding;
    if (idle_mask || is_no_encoders(canonical)) {
      ignored.push_back(name);
    } else if (!found.emplace(canonical, tensor).second) {
      fail("{}: tensor {} is there in two spellings", folder, canonical);
    }
  }
  if (!ignored.empty()) log_info("model", "{}: ignored {}", folder, fmt::join(ignored, ", "));
  return found;
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

ModelWeights read_model_folder(const std::filesystem::path& folder) {
  ModelConfig config = read_model_config(folder);
  const TensorSource source = canonical_tensors(open_weights(folder), config, folder.string());
  ModelWeights model = assemble_model(std::move(config), source, folder.string());
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
  Json own = {{"format", own_format}, {"hash", model.hash()}};
  own.update(own_config_json(model.config));
  own["provenance"] = model.provenance;
  write_json(folder / "retort.json", own);
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
  // transformers counts the batches that its BatchNorm saw, and misses the count where there is none.
  const int64_t no_batches = 0;
  if (model.config.positional == PositionalForm::batch_norm)
    tensors.push_back(
        {"encoder.pos_conv_embed.batch_norm.num_batches_tracked", "I64", {}, &no_batches, sizeof no_batches});
  write_safetensors(folder / "model.safetensors", std::move(tensors));
  write_json(folder / "preprocessor_config.json", preprocessor_json(model.config));
  Json config = hf_config_json(model.config);
  config["torch_dtype"] = dtype == "f32" ? "float32" : "float16";
  write_json(folder / "config.json", config);
}

std::string model_difference(const ModelWeights& one, const ModelWeights& expected) {
  std::string config = first_difference(hf_config_json(one.config), hf_config_json(expected.config));
  if (config.empty())
    config = first_difference(own_config_json(one.config), own_config_json(expected.config));
  if (!config.empty()) return "config: " + config;
  for (const auto& [name, tensor] : expected.tensors) {
    const auto found = one.tensors.find(name);
    if (found == one.tensors.end()) return fmt::format("tensor {} is missing", name);
    if (found->second.shape != tensor.shape || found->second.values != tensor.values)
      return fmt::format("tensor {} has other values", name);
  }
  return "";
}

bool holds_model(const std::filesystem::path& folder, const ModelWeights& expected, bool overwrite) {
  if (!std::filesystem::exists(folder)) return false;
  if (!std::filesystem::exists(folder / "config.json"))
    fail("{}: it exists and is no model folder; name another output", folder.string());
  if (overwrite) return false;
  std::string differs;
  try {
    differs = model_difference(read_model_folder(folder), expected);
  } catch (const Error& error) {
    differs = error.what();
  }
  if (!differs.empty())
    fail("{}: it exists and is another model ({}); --overwrite replaces it", folder.string(), differs);
  return true;
}

void make_model_folder(const std::filesystem::path& folder,
                       const std::function<void(const std::filesystem::path&)>& write) {
  const std::filesystem::path temporary = folder.string() + ".tmp";
  std::filesystem::remove_all(temporary);
  try {
    write(temporary);
  } catch (...) {
    std::filesystem::remove_all(temporary);
    throw;
  }
  std::filesystem::remove_all(folder);
  std::filesystem::rename(temporary, folder);
}

}  // namespace retort
