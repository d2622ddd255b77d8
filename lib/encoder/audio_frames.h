// The loop that every stage over audio shares: load ahead on threads, batch by length, encode, hand on in
// corpus order.
#pragma once

#include <functional>

#include "base/bad_items.h"
#include "base/shard.h"
#include "corpus/corpus.h"
#include "encoder/frame_encoder.h"

namespace retort {

struct EncodedUtterance {
  const Utterance* utterance = nullptr;
  int64_t samples = 0;          // at 16 kHz
  std::vector<Matrix> outputs;  // as FrameEncoder::outputs()
};

// Encodes the utterances of `range` and calls `take` for each in corpus order. Bad audio goes to `bad` and is
// skipped. Shows progress under `job` and stops (Stopped) between batches when a signal came.
void for_each_encoded(const Corpus& corpus, Range range, FrameEncoder& encoder, int threads,
                      const std::string& job, BadItems& bad,
                      const std::function<void(EncodedUtterance)>& take);

// Seconds that for_each_encoded() takes for all of the corpus, from a few utterances of it that are encoded
// for that.
double estimate_encoding_seconds(const Corpus& corpus, FrameEncoder& encoder, int threads);

}  // namespace retort
