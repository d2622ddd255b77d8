// Models from whatever holds one: a model folder, or the checkpoint of another toolkit.
#pragma once

#include <filesystem>

#include "model/model_source.h"

namespace retort {

// A model folder, or a checkpoint file that needs no further configuration.
ModelSource open_model(const std::filesystem::path& path);
ModelWeights read_model(const std::filesystem::path& path);

// The config alone; no weights are read.
ModelConfig read_config(const std::filesystem::path& path);

// A checkpoint file, told apart by what is in it, never by its name:
//   fairseq .pt (args or cfg inside, pre-trained or fine-tuned) of HuBERT, wav2vec 2.0, data2vec-audio and,
//   as Microsoft publishes it, WavLM; s3prl's converted HuBERT and wav2vec 2.0; s3prl's DistilHuBERT;
//   FitHuBERT's Lightning .ckpt (config: its yaml); torchaudio's .pth (config: a JSON of the arguments of its
//   factory function).
// Names are mapped to those of model_tensors(); what is left over, or missing, is an Error. What was dropped
// (heads of other tasks, rows of special symbols) is in provenance. `config` is empty where none is given.
ModelSource open_checkpoint(const std::filesystem::path& path, const std::filesystem::path& config);

}  // namespace retort
