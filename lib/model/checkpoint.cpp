#include "model/checkpoint.h"

#include "base/yaml.h"
#include "model/checkpoint_formats.h"
#include "model/model_folder.h"

namespace retort {
namespace {

using Opener = ModelSource (*)(const Checkpoint&);

// Of a format that says itself what its model is; null for the others.
Opener self_describing(const PickleValue& root) {
  const auto has = [&root](const char* key) { return root.find(key) != nullptr; };
  if (has("model_weight") && has("model_cfg")) return open_s3prl_upstream;
  if (has("Distiller") && has("Config")) return open_s3prl_distiller;
  if (has("model") && (has("cfg") || has("args"))) return open_fairseq;
  return nullptr;
}

ModelSource open_known_format(const Checkpoint& checkpoint) {
  const PickleValue& root = checkpoint.root();
  if (!root.is_dict()) fail("{}: it holds no dictionary, so it is no checkpoint", checkpoint.where);
  if (const Opener open = self_describing(root)) {
    if (!checkpoint.config.is_null())
      fail_usage("{}: it says itself what its model is; leave --config out", checkpoint.where);
    return open(checkpoint);
  }
  return root.find("state_dict") != nullptr ? open_fithubert(checkpoint) : open_torchaudio(checkpoint);
}

}  // namespace

ModelSource open_checkpoint(const std::filesystem::path& path, const std::filesystem::path& config) {
  Checkpoint checkpoint{path.string(), std::make_shared<const TorchFile>(path), nullptr};
  if (!config.empty()) checkpoint.config = read_json_or_yaml(config);
  return open_known_format(checkpoint);
}

ModelSource open_model(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return open_model_folder(path);
  if (!std::filesystem::exists(path)) fail("{}: there is no such model folder or checkpoint", path.string());
  if (path.extension() == ".safetensors")
    fail("{}: name the folder that holds it and its config.json", path.string());
  return open_checkpoint(path, "");
}

ModelWeights read_model(const std::filesystem::path& path) {
  return read_weights(open_model(path));
}

ModelConfig read_config(const std::filesystem::path& path) {
  return std::filesystem::is_directory(path) ? read_model_config(path) : open_model(path).config;
}

}  // namespace retort
