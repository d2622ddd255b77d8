// A model folder in the form that another toolkit loads.
#pragma once

#include <string>

namespace retort {

struct ExportOptions {
  std::string to = "hf";      // the form: hf (Hugging Face transformers) or fairseq
  std::string model;          // model folder
  std::string output;         // folder to make; of fairseq: a file
  std::string dtype = "f32";  // of the weights: f32 or, of hf, f16
  int threads = 0;            // of the check of features; 0: all
  bool overwrite = false;     // replace a model folder that is there
};

// Writes the model without the heads that training added, as config.json, preprocessor_config.json and
// model.safetensors or as a checkpoint of fairseq, then reads it back: every tensor has to be the model's
// own, and so (in builds with LibTorch) have the features of a synthetic waveform. The output appears whole
// or not at all. One that holds this very export already is left alone; any other is refused without
// overwrite.
void run_export(const ExportOptions& options);

}  // namespace retort
