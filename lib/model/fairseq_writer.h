// Checkpoints in fairseq's form.
#pragma once

#include <filesystem>

#include "model/weights.h"

namespace retort {

// An Error where neither fairseq nor, for WavLM, Microsoft's code has a model like this.
void check_fairseq_can_hold(const ModelConfig& config, const std::string& where);

// Writes the encoder as fairseq saves HuBERT, wav2vec 2.0 and data2vec-audio ({"cfg", "model"}, cfg with
// sections for model and task), WavLM as Microsoft does ({"cfg", "model"}, cfg flat). The model's heads stay
// behind; a HuBERT gets heads for no label set, which is what fairseq builds for a task without labels.
void write_fairseq_checkpoint(const std::filesystem::path& path, const ModelWeights& model);

}  // namespace retort
