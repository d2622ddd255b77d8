// Labels (units) from features, or straight from audio.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "encoder/frame_encoder.h"
#include "labels/frame_labeller.h"

namespace retort {

struct LabelOptions {
  std::string codebook;
  std::vector<std::string> inputs;  // frame store, .npy or rspecifier; with encoder.model corpus or audio
  EncoderOptions encoder;           // model "": the input is features; the layer is the codebook's
  std::string engine = "auto";      // of labels: native (CPU), torch (CUDA), or auto
  LabelOutput output;
  std::string shard = "0/1";
  double max_bad = 0.001;  // from audio: share of bad utterances above which the job fails
  bool dry_run = false;    // say what would be written to a store, and stop
};

// Whether LibTorch is to encode audio or to find labels, for which a program must link it.
bool wants_torch(const LabelOptions& options);

// The report of a dry run: utterances, frames, files and bytes of this part, and how long it would take; null
// otherwise.
Json run_label(const LabelOptions& options);

}  // namespace retort
