// Checkpoints of other toolkits into model folders.
#pragma once

#include <string>

namespace retort {

struct ImportOptions {
  std::string checkpoint;  // a checkpoint file or a model folder
  std::string config;      // what the checkpoint itself does not say: FitHuBERT's yaml, torchaudio's JSON
  std::string output;      // folder to make
  bool overwrite = false;  // replace a model folder that is there
};

// Reads the checkpoint (model/checkpoint.h) and writes a model folder with all of its heads. The folder
// appears whole or not at all. One that holds this very model already is left alone; any other is refused
// without overwrite.
void run_import(const ImportOptions& options);

}  // namespace retort
