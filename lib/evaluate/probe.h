// Task "probe": how well frozen features tell classes of utterances apart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "encoder/frame_encoder.h"
#include "evaluate/result.h"

namespace retort {

struct ProbeOptions {
  ResultOptions result;
  EncoderOptions encoder;  // layers "": all of enc0 .. encN
  std::string corpus;
  std::string label_key;         // what to tell apart: a key of the corpus lines (lang, speaker, digit)
  std::string split_by;          // key whose values are kept together in one split; "": the id
  std::string probe = "linear";  // linear, or mlp (one hidden layer of 256)
  std::vector<double> lrs = {1e-3, 1e-2, 1e-1};  // swept on the dev split
  int epochs = 100;
  int seeds = 3;  // probes trained from different starts
  double max_bad = 0.001;
};

// SUPERB-style: features are frozen, layers mixed by a trained softmax, averaged over time, classified. Since
// mixing and averaging are linear, each layer's mean over time is all that is kept. Utterances are split
// 80/10/10 by a hash of their id; the learning rate is picked on dev, test is scored once per seed. Returns
// the line for standard output.
std::string run_probe(const ProbeOptions& options);

}  // namespace retort
