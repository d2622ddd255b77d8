// The loops that give all utterances of a set their labels.
#pragma once

#include <span>

#include "base/shard.h"
#include "corpus/corpus.h"
#include "encoder/frame_encoder.h"
#include "labels/frame_labeller.h"

namespace retort {

// Labels utterances whose frames are rows of `source` (`start` counts them) and commits. The labeller has
// begun.
void label_rows(const FrameSource& source, std::span<const StoredUtterance> utterances,
                FrameLabeller& labeller, const Json& bad = Json::object());

// Encodes audio, labels it and commits. The encoder has one output; bad utterances are skipped and judged by
// `max_bad`.
void label_audio(const Corpus& corpus, Range range, FrameEncoder& encoder, int threads, double max_bad,
                 FrameLabeller& labeller);

}  // namespace retort
