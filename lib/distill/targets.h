// The training set: utterances that have audio, labels and the length to be used, checked before the first
// update.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "corpus/corpus.h"
#include "distill/batches.h"
#include "distill/masking.h"
#include "model/config.h"
#include "store/frame_store.h"

namespace retort {

// What a micro batch needs on the device: crops of equal length with their labels and masks.
struct TrainingExamples {
  int64_t rows = 0;
  int64_t samples = 0;           // per row
  int64_t frames = 0;            // per row
  std::vector<float> waveforms;  // (rows, samples)
  std::vector<int64_t> labels;   // (rows, frames)
  std::vector<uint8_t> masked;   // (rows, frames)
};

class TrainingSet {
 public:
  // Every utterance of the corpus must have labels of exactly the frames that its length gives, at the
  // model's frame rate or a multiple of it; the first one that has not is named. Those below min_seconds are
  // left out and counted.
  TrainingSet(const Corpus& corpus, const FrameStore& labels, const ModelConfig& student,
              const BatchOptions& batch);

  std::vector<int64_t> samples() const;  // at 16 kHz, of the utterances kept
  std::size_t left_out() const { return left_out_; }
  int64_t classes() const { return classes_; }

  // Loads the audio (kept in memory from then on, as far as `cache_bytes` allows) and cuts the crops.
  // Thread-safe.
  TrainingExamples examples(const MicroBatch& batch, const MaskingOptions& masking, Random random);

  static constexpr std::size_t cache_bytes = std::size_t{4} << 30;

 private:
  struct Item {
    Utterance utterance;
    int64_t samples = 0;
    std::vector<int32_t> labels;  // at the labels' own rate
  };
  std::shared_ptr<const std::vector<float>> waveform(std::size_t item);

  std::vector<Item> items_;
  std::vector<std::shared_ptr<const std::vector<float>>> cache_;
  std::mutex cache_mutex_;
  std::size_t cached_bytes_ = 0;
  std::size_t left_out_ = 0;
  int64_t classes_ = 0;
  int64_t labels_per_frame_ = 1;
  ModelConfig student_;
};

}  // namespace retort
