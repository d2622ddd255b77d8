// A model in memory, independent of any file format and tensor library.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/config.h"

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

// A tensor that a file holds, read when it is asked for.
struct SourceTensor {
  std::string dtype;  // as safetensors names it
  std::vector<int64_t> shape;
  std::function<std::vector<float>()> read;
};

// The tensors of a checkpoint by name.
using TensorSource = std::map<std::string, SourceTensor>;

// Reads the tensors that this config lists. An Error naming, in one line, every tensor that is missing,
// extra, or of another shape or type, and one naming a tensor with values that are not finite. A missing mask
// embedding, which only training needs, is tolerated. `where` names the checkpoint.
ModelWeights assemble_model(ModelConfig config, const TensorSource& source, const std::string& where);

}  // namespace retort
