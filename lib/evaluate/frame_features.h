// Frozen features of whole corpora, taken once and kept in memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "evaluate/frame_source.h"

namespace retort {

// One utterance: (layers, frames, dim), row-major.
struct FrameItem {
  std::size_t utterance = 0;  // index into the utterances that were encoded
  int64_t frames = 0;
  int64_t samples = 0;  // at 16 kHz
  std::vector<float> values;
};

struct FrameFeatures {
  int64_t layers = 0;
  int64_t dim = 0;
  int hop = 320;                           // samples at 16 kHz from one frame to the next
  std::vector<FrameItem> items;            // in corpus order, without the bad ones
  std::map<std::string, std::size_t> bad;  // skipped utterances by reason
};

// The layers that are mixed where none are named: the outputs of the blocks, and the input of the first
// unless it has another width. "" for mfcc and fbank.
std::string block_layers(const std::string& model);

// All outputs of the source. Layers with fewer frames than others (after a time reduction) repeat theirs;
// layers of different width are a usage Error. Bad utterances are skipped up to `max_bad` of all.
FrameFeatures take_features(const std::vector<Utterance>& utterances, FrameSource& source, double max_bad);

// Makes each value of each layer have mean 0 and deviation 1 over the frames of the items marked in `fit`
// (by position in features.items).
void standardise(FrameFeatures& features, const std::vector<bool>& fit);

}  // namespace retort
