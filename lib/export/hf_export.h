// Models in the form of Hugging Face transformers that transformers has no class for: their folder carries
// the class.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "model/config.h"

namespace retort {

// data/hf/modeling_retort.py, built into the library so that a program finds it wherever it is installed.
std::string_view modelling_file_text();

// Whether transformers' own classes cannot compute all of this model.
bool needs_modelling_file(const ModelConfig& config);

// An Error starting with `where` if neither transformers' classes nor ours compute it.
void check_hf_can_hold(const ModelConfig& config, const std::string& where);

// Puts the modelling file beside the config.json of a folder, and names its classes in there, so that
// AutoModel.from_pretrained(folder, trust_remote_code=True) finds them.
void add_modelling_file(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace retort
