// A model folder: config.json + model.safetensors (+ preprocessor_config.json, retort.json).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/config.h"
#include "model/tensors.h"

namespace retort {

struct NamedTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// A model in memory, independent of any tensor library.
struct ModelWeights {
  ModelConfig config;
  std::map<std::string, NamedTensor> tensors;  // canonical names, exactly those of model_tensors(config)
  Json provenance = Json::object();  // what retort.json says of its making (recipe, teacher, labels, steps)

  // Identity of the encoder: over names, shapes and f32 bytes of all tensors but heads and mask embedding,
  // which some formats drop and which shape no feature.
  std::string hash() const;
};

// Reads a folder; names every tensor that is missing, extra or of wrong shape in one line. Either spelling of
// the weight norm is accepted, with or without the "hubert." prefix; a missing mask embedding is tolerated.
ModelWeights read_model(const std::filesystem::path& folder);

// Writes a folder that transformers can load too, retort.json and heads included. Files that are there are
// replaced.
void write_model(const std::filesystem::path& folder, const ModelWeights& model);

// The part of it that transformers knows, with weights as "f32" or "f16".
void write_hf_model(const std::filesystem::path& folder, const ModelWeights& model, const std::string& dtype);

}  // namespace retort
