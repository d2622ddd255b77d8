// A codebook from features, or straight from audio.
#pragma once

#include <string>
#include <vector>

#include "encoder/frame_encoder.h"
#include "kmeans/kmeans.h"

namespace retort {

struct ClusterOptions {
  std::vector<std::string> inputs;  // frame store, .npy or rspecifier; with encoder.model corpus or audio
  EncoderOptions encoder;           // model "": the input is features
  KmeansOptions kmeans;  // its device and threads are the encoder's too; init may be a codebook folder
  std::string normalise = "none";  // none, l2 or meanvar: what is done to frames first (FeatureNorm)
  int64_t subspaces = 0;           // of a product codebook (store/product_codebook.h); 0: an ordinary one
  std::string alignments;          // CTM file of phones to score the clusters by; "": none
  std::string output;              // codebook folder
  std::string labels;              // where the labels of all input frames go, as LabelOutput; "": nowhere
  std::string step;                // "": the whole job; else one step of it, update or assign
  std::string shard = "0/1";       // of the frames, for step assign
  double max_bad = 0.001;          // from audio: share of bad utterances above which the job fails
  bool overwrite = false;
  bool dry_run = false;  // say what would be made, and stop
};

// Whether LibTorch is needed: for a GPU, for a model that it is to compute, and for processes that share the
// job.
bool wants_torch(const ClusterOptions& options);

// Processes that srun or torchrun started together share the job of a frame store (processes/processes.h).
// Returns the report that the tool prints (of a dry run: frames, files, bytes, memory and an estimate of the
// time), null for all but one of them: what codebook.json says, and the seconds of each phase.
Json run_cluster(const ClusterOptions& options);

}  // namespace retort
