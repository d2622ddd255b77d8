// The utterances to train or to validate on: audio, labels where the objective wants them, and the length to
// be used, checked before the first update.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "corpus/corpus.h"
#include "distill/batches.h"
#include "distill/masking.h"
#include "model/config.h"
#include "store/frame_store.h"

namespace retort {

// A layer of the teacher as it was extracted beforehand.
struct StoredFeatures {
  int64_t dim = 0;
  std::vector<float> values;  // (rows, frames, dim), 0 past a row's end
};

// What a micro batch needs on the device.
struct TrainingExamples {
  std::vector<std::string> ids;          // of the rows' utterances
  int64_t samples = 0;                   // per row, of the longest
  int64_t frames = 0;                    // per row, of the longest
  std::vector<int64_t> lengths;          // samples that each row has
  std::vector<int64_t> valid;            // frames that each row has
  std::vector<float> waveforms;          // (rows, samples), as the student wants them, zero past a row's end
  std::vector<float> teacher_waveforms;  // as the teacher wants them; empty where that is the same
  std::vector<int64_t> labels;           // (rows, frames), 0 past a row's end; empty without labels
  std::vector<StoredFeatures> features;  // of the teacher's layers; empty where the teacher computes them
  std::vector<uint8_t> masked;           // (rows, frames), 0 past a row's end; empty where nothing is masked

  int64_t rows() const { return static_cast<int64_t>(lengths.size()); }
  double seconds() const;  // of audio, padding left out
};

// What was computed beforehand for every utterance of a corpus, at the model's frame rate; labels may also
// come at a multiple of it.
struct StoredTargets {
  std::shared_ptr<const FrameStore> labels;  // none: null
  std::vector<std::shared_ptr<const FrameStore>>
      features;  // a store per layer of the teacher, in the objective's order
};

// How a training set is looked at.
struct TrainingView {
  ModelConfig student;
  std::string teacher_wave_norm;          // "" where no teacher listens
  std::optional<MaskingOptions> masking;  // nothing is masked without
};

class TrainingSet {
 public:
  // Every utterance of the corpus must have targets of exactly the frames that its length gives; the first
  // one that has not is named. Utterances below min_seconds are left out and counted.
  TrainingSet(const Corpus& corpus, StoredTargets targets, TrainingView view, double min_seconds);

  std::vector<int64_t> samples() const;  // at 16 kHz, of the utterances kept
  std::size_t left_out() const { return left_out_; }

  // Loads the audio (kept in memory from then on, as far as `cache_bytes` allows) and cuts the crops.
  // Thread-safe.
  TrainingExamples examples(const MicroBatch& batch, Random random);

  static constexpr std::size_t cache_bytes = std::size_t{4} << 30;

 private:
  struct Item {
    Utterance utterance;
    int64_t samples = 0;
    std::vector<int32_t> labels;          // at the labels' own rate
    std::vector<int64_t> first_features;  // the row of each store of features where the utterance begins
  };
  using Waveform = std::shared_ptr<const std::vector<float>>;

  void add_labels(Item& item) const;
  void add_features(Item& item) const;
  Waveform waveform(std::size_t item);
  void append_labels(const Crop& crop, TrainingExamples& examples) const;
  void append_features(const Crop& crop, TrainingExamples& examples) const;

  std::vector<Item> items_;
  std::vector<Waveform> cache_;  // before any normalisation
  std::mutex cache_mutex_;
  std::size_t cached_bytes_ = 0;
  std::size_t left_out_ = 0;
  StoredTargets targets_;
  int64_t labels_per_frame_ = 0;  // 0: no labels
  TrainingView view_;
};

}  // namespace retort
