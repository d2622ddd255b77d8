#include "model/weights.h"

#include <algorithm>
#include <set>

namespace retort {
namespace {

bool shapes_features(TensorRole role) {
  return role != TensorRole::head && role != TensorRole::mask;
}

bool is_idle_conv_bias(const std::string& name, TensorRole role, const std::vector<float>& values) {
  return role == TensorRole::conv && name.ends_with(".conv.bias") &&
         std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

}  // namespace

ModelHasher::ModelHasher(const ModelConfig& config) {
  for (const TensorSpec& spec : model_tensors(config))
    if (shapes_features(spec.role)) counted_.emplace(spec.name, spec.role);
}

void ModelHasher::add(const std::string& name, const std::vector<int64_t>& shape,
                      const std::vector<float>& values) {
  const auto counted = counted_.find(name);
  if (counted == counted_.end() || is_idle_conv_bias(name, counted->second, values)) return;
  hasher_.add(fmt::format("{}{}\n", name, shape_text(shape)));
  hasher_.add(values.data(), values.size() * sizeof(float));
}

void keep_listed_tensors(ModelWeights& model) {
  std::set<std::string> listed;
  for (const TensorSpec& spec : model_tensors(model.config)) listed.insert(spec.name);
  std::erase_if(model.tensors, [&listed](const auto& tensor) { return !listed.contains(tensor.first); });
}

std::string ModelWeights::hash() const {
  ModelHasher hasher(config);
  for (const auto& [name, tensor] : tensors) hasher.add(name, tensor.shape, tensor.values);
  return hasher.hex();
}

}  // namespace retort
