// A model in memory, independent of any file format and tensor library.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "model/config.h"
#include "model/tensors.h"

namespace retort {

struct NamedTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

struct ModelWeights {
  ModelConfig config;
  std::map<std::string, NamedTensor> tensors;  // canonical names, exactly those of model_tensors(config)
  Json provenance = Json::object();  // what retort.json says of its making (recipe, teacher, labels, steps)

  // Identity of the encoder: over names, shapes and f32 bytes of all tensors but heads and mask embedding,
  // which some formats drop and which shape no feature, and biases of the conv stack that are all zero, which
  // some formats add.
  std::string hash() const;
};

// Takes away the tensors that the config does not list, such as those of a head it no longer has.
void keep_listed_tensors(ModelWeights& model);

// ModelWeights::hash() over tensors that come one at a time, in order of name.
class ModelHasher {
 public:
  explicit ModelHasher(const ModelConfig& config);
  void add(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values);
  std::string hex() const { return hasher_.hex(); }

 private:
  std::map<std::string, TensorRole> counted_;  // the tensors that shape features
  Hasher hasher_;
};

}  // namespace retort
