// Features of audio into frame stores and Kaldi tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "encoder/frame_encoder.h"

namespace retort {

struct ExtractOptions {
  EncoderOptions encoder;
  std::vector<std::string> inputs;  // a corpus file, or audio files
  std::string output;               // store; with several layers the folder of one store per layer;
                                    // or, for one layer, a wspecifier
  std::string dtype = "f32";        // f32, f16, bf16, i8 or pq; of a table f32
  std::string codebook;  // for pq: product codebook; with several layers the folder of one per layer
  std::string shard = "0/1";
  double max_bad = 0.001;  // share of bad utterances above which the job fails
  bool overwrite = false;
  bool dry_run = false;   // say what would be written and stop
  int64_t keep_free = 0;  // bytes of the output's disk to leave free: stop before fewer are left
};

// The report of a dry run into stores: utterances, seconds of audio, frames (of the layer with most), files
// and bytes of this part, and how long it would take; null otherwise.
Json run_extract(const ExtractOptions& options);

}  // namespace retort
