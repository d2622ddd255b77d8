// A model folder: config.json + model.safetensors (+ preprocessor_config.json, retort.json).
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "model/weights.h"

namespace retort {

// Reads a folder: model.safetensors, several of them with an index, or pytorch_model.bin likewise. Either
// spelling of the weight norm is accepted, with or without the "hubert." prefix.
ModelWeights read_model_folder(const std::filesystem::path& folder);

// Writes a folder that transformers can load too, retort.json and heads included. Files that are there are
// replaced.
void write_model(const std::filesystem::path& folder, const ModelWeights& model);

// The part of it that transformers knows, with weights as "f32" or "f16".
void write_hf_model(const std::filesystem::path& folder, const ModelWeights& model, const std::string& dtype);

// Says where two models differ, in config or tensors; empty where they do not.
std::string model_difference(const ModelWeights& one, const ModelWeights& expected);

// True where the folder holds this very model, so that there is nothing to do. Anything else there is an
// Error, unless it is a model folder that may be overwritten.
bool holds_model(const std::filesystem::path& folder, const ModelWeights& expected, bool overwrite);

// Lets `write` make the folder under a temporary name, then puts it in the place of what is there. Where
// `write` throws, nothing is left of it.
void make_model_folder(const std::filesystem::path& folder,
                       const std::function<void(const std::filesystem::path&)>& write);

}  // namespace retort
