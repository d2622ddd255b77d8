// Which audio an update sees: batches of about equal length and a bounded number of seconds, in an order that
// follows from the seed alone, so that a run can go on at any update.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "distill/recipe.h"

namespace retort {

// A piece of one utterance, which begins on the frame grid of the model.
struct Crop {
  std::size_t utterance = 0;  // index into the training set
  int64_t first_frame = 0;    // the crop's first sample is first_frame * hop
  int64_t samples = 0;        // at 16 kHz
};

// Crops that go through the model together, each padded to the longest.
struct MicroBatch {
  int64_t samples = 0;  // of the longest crop
  std::vector<Crop> crops;

  void add(const Crop& crop);
};

// One update.
using Batch = std::vector<MicroBatch>;

class BatchPlan {
 public:
  // `samples`: lengths of the training set at 16 kHz, all at least min_seconds. `hop`: samples per model
  // frame.
  BatchPlan(std::vector<int64_t> samples, const BatchOptions& options, int64_t hop, uint64_t seed);

  int64_t batches_per_epoch() const { return static_cast<int64_t>(sizes_.size()); }
  // The batch of update `step` (from 0). Each epoch sees every utterance once, in another order and crop.
  Batch batch(int64_t step) const;

 private:
  // What one epoch does with the utterances; the same on every call with the same number.
  struct Epoch {
    int64_t number = 0;
    std::vector<std::size_t> utterances;  // from the longest on
    std::vector<std::size_t> batches;     // indices into sizes_, in the order of their updates
  };
  std::shared_ptr<const Epoch> epoch(int64_t number) const;
  void divide_into_batches();
  int64_t used_samples(std::size_t utterance) const { return std::min(samples_[utterance], longest_); }

  std::vector<int64_t> samples_;
  BatchOptions options_;
  int64_t hop_;
  uint64_t seed_;
  int64_t longest_;                  // samples that a crop may have
  std::vector<std::size_t> sizes_;   // utterances per batch, from the longest on; the same in every epoch
  std::vector<std::size_t> begins_;  // where each begins among the sorted utterances
  mutable std::mutex latest_mutex_;
  mutable std::shared_ptr<const Epoch> latest_;
};

// Options under which each of `processes` that share an update's micro batches gets one: micro_seconds is
// lowered to its share of `seconds` where it is more.
BatchOptions divide_among(BatchOptions options, int processes);

// Every utterance once, from its beginning up to max_seconds, the longest first: what validation looks at.
Batch validation_batches(const std::vector<int64_t>& samples, const BatchOptions& options);

}  // namespace retort
