#include "model/model_folder.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/atomic_folder.h"
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

TensorToWrite laid_out(const std::string& name, const std::vector<int64_t>& shape, const std::string& dtype) {
  std::size_t bytes = dtype == "f32" ? sizeof(float) : sizeof(uint16_t);
  for (const int64_t size : shape) bytes *= static_cast<std::size_t>(size);
  return {name, dtype == "f32" ? "F32" : "F16", shape, nullptr, bytes};
}

std::vector<uint16_t> to_f16(const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), f16_from_f32);
  return halves;
}

// Reads one tensor at a time into the file. Returns the model's hash.
std::string write_weights(const std::filesystem::path& path, const ModelSource& model,
                          const std::string& dtype) {
  std::vector<TensorToWrite> layout;
  for (const auto& [name, tensor] : model.tensors) layout.push_back(laid_out(name, tensor.shape, dtype));
  // transformers counts the batches that its BatchNorm saw, and misses the count where there is none.
  const int64_t no_batches = 0;
  if (model.config.positional == PositionalForm::batch_norm)
    layout.push_back(
        {"encoder.pos_conv_embed.batch_norm.num_batches_tracked", "I64", {}, &no_batches, sizeof no_batches});
  ModelStream stream(model);  // in order of name, as tensors of one type are in the file
  NamedTensor tensor;
  std::vector<uint16_t> halves;
  write_safetensors(path, std::move(layout), [&](const TensorToWrite& place) -> const void* {
    if (place.data != nullptr) return place.data;
    tensor = stream.next().second;
    if (dtype == "f32") return tensor.values.data();
    halves = to_f16(tensor.values);
    return halves.data();
  });
  return stream.hash();
}

}  // namespace

ModelSource open_model_folder(const std::filesystem::path& folder) {
  ModelConfig config = read_model_config(folder);
  TensorSource tensors = canonical_tensors(open_weights(folder), config, folder.string());
  ModelSource model = checked_source(std::move(config), std::move(tensors), folder.string());
  const std::filesystem::path own_file = folder / "retort.json";
  if (std::filesystem::exists(own_file)) {
    const Json own = read_json(own_file);
    model.provenance = json_get_or(own, "provenance", Json::object(), own_file.string());
    model.stated_hash = json_get_or<std::string>(own, "hash", "", own_file.string());
  }
  return model;
}

ModelWeights read_model_folder(const std::filesystem::path& folder) {
  return read_weights(open_model_folder(folder));
}

std::string write_model(const std::filesystem::path& folder, const ModelSource& model) {
  const std::string hash = write_hf_model(folder, model, "f32");
  Json own = {{"format", own_format}, {"hash", hash}};
  own.update(own_config_json(model.config));
  own["provenance"] = model.provenance;
  write_json(folder / "retort.json", own);
  return hash;
}

std::string write_hf_model(const std::filesystem::path& folder, const ModelSource& model,
                           const std::string& dtype) {
  if (dtype != "f32" && dtype != "f16") fail_usage("dtype {} is not one of f32, f16", dtype);
  make_folder(folder);
  const std::string hash = write_weights(folder / "model.safetensors", model, dtype);
  write_json(folder / "preprocessor_config.json", preprocessor_json(model.config));
  Json config = hf_config_json(model.config);
  config["torch_dtype"] = dtype == "f32" ? "float32" : "float16";
  write_json(folder / "config.json", config);
  return hash;
}

std::string config_difference(const ModelConfig& one, const ModelConfig& expected) {
  const std::string difference = first_difference(hf_config_json(one), hf_config_json(expected));
  return difference.empty() ? first_difference(own_config_json(one), own_config_json(expected)) : difference;
}

std::string model_difference(const ModelSource& one, const ModelSource& expected) {
  const std::string config = config_difference(one.config, expected.config);
  if (!config.empty()) return "config: " + config;
  for (const auto& [name, tensor] : expected.tensors)
    if (!one.tensors.contains(name)) return fmt::format("tensor {} is missing", name);
  ModelStream ours(one), theirs(expected);
  while (!theirs.done()) {
    const auto [name, wanted] = theirs.next();
    auto found = ours.next();
    while (found.first != name) found = ours.next();  // one that is not expected
    if (found.second.shape != wanted.shape || found.second.values != wanted.values)
      return fmt::format("tensor {} has other values", name);
  }
  return "";
}

bool holds_model(const std::filesystem::path& folder, const ModelSource& expected, bool overwrite) {
  if (!std::filesystem::exists(folder)) return false;
  if (!std::filesystem::exists(folder / "config.json"))
    fail("{}: it exists and is no model folder; name another output", folder.string());
  if (overwrite) return false;
  std::string differs;
  try {
    differs = model_difference(open_model_folder(folder), expected);
  } catch (const Error& error) {
    differs = error.what();
  }
  if (!differs.empty())
    fail("{}: it exists and is another model ({}); --overwrite replaces it", folder.string(), differs);
  return true;
}

void make_model_folder(const std::filesystem::path& folder,
                       const std::function<void(const std::filesystem::path&)>& write) {
  if (folder == "-") fail_usage("-o -: a model is a folder and no stream; name a folder");
  AtomicFolder made(folder);
  write(made.temporary());
  made.commit();
}

}  // namespace retort
