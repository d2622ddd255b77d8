// A model folder: config.json + model.safetensors (+ preprocessor_config.json, retort.json).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "model/model_source.h"

namespace retort {

// Reads a folder: model.safetensors, several of them with an index, or pytorch_model.bin likewise. Either
// spelling of the weight norm is accepted, with or without the "hubert." prefix.
ModelSource open_model_folder(const std::filesystem::path& folder);
ModelWeights read_model_folder(const std::filesystem::path& folder);

// Writes a folder that transformers can load too, retort.json and heads included. Files that are there are
// replaced. Returns the model's hash.
std::string write_model(const std::filesystem::path& folder, const ModelSource& model);

// The part of it that transformers knows, with weights as "f32" or "f16". Returns the hash of the model that
// was given.
std::string write_hf_model(const std::filesystem::path& folder, const ModelSource& model,
                           const std::string& dtype);

// Says where two configs differ in what a folder holds of them; empty where they do not.
std::string config_difference(const ModelConfig& one, const ModelConfig& expected);

// Says where two models differ, in config or tensors; empty where they do not.
std::string model_difference(const ModelSource& one, const ModelSource& expected);

// True where the folder holds this very model, so that there is nothing to do. Anything else there is an
// Error, unless it is a model folder that may be overwritten.
bool holds_model(const std::filesystem::path& folder, const ModelSource& expected, bool overwrite);

// Lets `write` make the folder under a temporary name, then puts it in the place of what is there. Where
// `write` throws, nothing is left of it.
void make_model_folder(const std::filesystem::path& folder,
                       const std::function<void(const std::filesystem::path&)>& write);

}  // namespace retort
