// A model folder in the form that another toolkit loads.
#pragma once

#include <string>
#include <vector>

namespace retort {

struct ExportOptions {
  std::string to = "hf";      // the form: hf (Hugging Face transformers), fairseq, s3prl or onnx
  std::string model;          // model folder
  std::string output;         // folder to make; of fairseq and s3prl: a file
  std::string dtype = "f32";  // of the weights: f32; of hf also f16; of onnx a GraphPrecision
  int threads = 0;            // of the check of features; 0: all
  bool overwrite = false;     // replace an export that is there

  bool heads = false;  // of hf: keep the heads that predict a teacher's layers

  // Of onnx.
  std::string layers;              // outputs, comma-separated; "": the codebook's layer, else final
  std::string codebook;            // folder; the output is labels of the layer; "": none
  int opset = 17;                  // 13 to 17
  bool lengths = false;            // an input that says where padding begins
  std::string license;             // said in the metadata; "": nothing
  std::vector<std::string> audio;  // corpus or files to check with; none: a sound made up for it
  std::string verify;              // an export to check again, instead of making one
};

// Writes the model without the heads that training added, as config.json, preprocessor_config.json and
// model.safetensors (and a modelling file where transformers has no class for it: export/hf_export.h) or as a
// checkpoint of fairseq or s3prl, then reads it back: every tensor has to be the model's own, and so have the
// features of a synthetic waveform. The output appears whole or not at all. One that holds this very export
// already is left alone; any other is refused without overwrite.
void run_export(const ExportOptions& options);

}  // namespace retort
