// Checkpoints that s3prl's own upstreams load.
#pragma once

#include <filesystem>
#include <string>

#include "model/weights.h"

namespace retort {

// An Error starting with `where` if no upstream of s3prl computes this model. The model has what
// as_s3prl_holds() takes away, and its own waveform normalisation.
void check_s3prl_can_hold(const ModelWeights& model, const std::string& where);

// The model as the checkpoint gives it back. One for the upstream "distiller" keeps its prediction heads and
// has no mask embedding; any other is as fairseq's form holds it.
ModelWeights as_s3prl_holds(ModelWeights model);

// What the reader of checkpoints calls the format that it is written in.
std::string s3prl_format(const ModelConfig& config);

// Writes such a model for the upstream that computes it: a HuBERT without a norm before the projection for
// "distiller" ({"Config", "Distiller"}); other HuBERTs, wav2vec 2.0 and data2vec-audio as s3prl converts
// fairseq's checkpoints ({"task_cfg", "model_cfg", "model_weight"} and, of HuBERT, "dictionaries_symbols");
// WavLM as Microsoft publishes it.
void write_s3prl_checkpoint(const std::filesystem::path& path, const ModelWeights& model);

}  // namespace retort
