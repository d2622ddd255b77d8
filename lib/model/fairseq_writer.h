// Checkpoints in fairseq's form.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/weights.h"
#include "store/safetensors.h"

namespace retort {

// An Error where neither fairseq nor, for WavLM, Microsoft's code has a model like this. `toolkit` is named
// in it: s3prl has copies of fairseq's classes.
void check_fairseq_can_hold(const ModelWeights& model, const std::string& where,
                            const std::string& toolkit = "fairseq");

// The model as a checkpoint of that form gives it back: without heads, and with a mask embedding, which
// fairseq's classes always have; it is zeros where the model has none.
ModelWeights as_fairseq_holds(ModelWeights model);

// What a checkpoint of fairseq consists of. Tensors point into the model and into `zeros`.
struct FairseqParts {
  Json model;  // section of cfg
  Json task;   // section of cfg
  std::vector<TensorToWrite> tensors;
  std::vector<float> zeros;
};

// Of a model that as_fairseq_holds() gave.
FairseqParts fairseq_parts(const ModelWeights& model);

// Adds the heads that fairseq's classes insist on, holding nothing: a HuBERT's are for no label set, a
// wav2vec 2.0's one value wide, all zeros.
void add_idle_heads(const ModelConfig& config, FairseqParts& parts);

// "[(512, 10, 5)] + [(512, 3, 2)] * 4": the Python expression for a conv stack.
std::string conv_layers_text(const std::vector<ConvLayerShape>& layers);

// Writes the encoder as fairseq saves HuBERT, wav2vec 2.0 and data2vec-audio ({"cfg", "model"}, cfg with
// sections for model and task), WavLM as Microsoft does ({"cfg", "model"}, cfg flat).
void write_fairseq_checkpoint(const std::filesystem::path& path, const ModelWeights& model);

}  // namespace retort
