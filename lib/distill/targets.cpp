#include "distill/targets.h"

#include <algorithm>

#include "audio/fbank.h"
#include "base/error.h"
#include "model/normalise.h"

namespace retort {
namespace {

// Labels that audio of this many samples must have, given their hop.
int64_t expected_labels(int64_t samples, int64_t hop, const ModelConfig& student) {
  return hop == student.stride() ? student.frames(samples) : fbank_frames(samples);
}

// Labels per model frame: 1 for labels at the model's rate, 2 for those made from MFCC at 100 Hz.
int64_t label_ratio(const FrameStore& labels, const ModelConfig& student) {
  const int64_t hop = labels.info().origin.hop;
  if (hop != student.stride() && hop != feature_hop)
    fail("labels come every {} samples, which is neither the student's {} nor the {} of filter banks", hop,
         student.stride(), feature_hop);
  if (student.stride() % hop != 0)
    fail("labels come every {} samples, of which the student's {} is no multiple", hop, student.stride());
  return student.stride() / hop;
}

}  // namespace

TrainingSet::TrainingSet(const Corpus& corpus, const FrameStore& labels, const ModelConfig& student,
                         const BatchOptions& batch)
    : classes_(labels.info().clusters), labels_per_frame_(label_ratio(labels, student)), student_(student) {
  if (labels.info().kind != StoreKind::labels) fail("--labels: the store holds features, not labels");
  if (labels.info().dedup)
    fail("--labels: runs were written once (--dedup), so they fit no frames; label without it");
  const auto shortest = static_cast<int64_t>(batch.min_seconds * model_rate);
  for (const Utterance& utterance : corpus.utterances()) {
    const StoredUtterance* stored = labels.find(utterance.id);
    const int64_t samples = utterance.model_samples();
    if (stored == nullptr)
      fail("{}: the labels have no such utterance; they were made from another corpus ({}, here {})",
           utterance.id, labels.info().origin.corpus, corpus.hash());
    const int64_t expected = expected_labels(samples, labels.info().origin.hop, student);
    if (stored->samples != samples || stored->frames != expected)
      fail("{}: labels are for {} samples ({} labels), the audio has {} ({}); label this corpus again",
           utterance.id, stored->samples, stored->frames, samples, expected);
    if (samples < shortest) {
      ++left_out_;
      continue;
    }
    items_.push_back({utterance, samples, labels.read_labels(*stored)});
    for (const int32_t label : items_.back().labels)
      if (label < 0 || label >= classes_)
        fail("{}: label {} is not below K = {}", utterance.id, label, classes_);
  }
  if (items_.empty()) fail("no utterance is left to train on; lower batch.min_seconds or give more audio");
  cache_.resize(items_.size());
}

std::vector<int64_t> TrainingSet::samples() const {
  std::vector<int64_t> samples;
  for (const Item& item : items_) samples.push_back(item.samples);
  return samples;
}

std::shared_ptr<const std::vector<float>> TrainingSet::waveform(std::size_t item) {
  {
    std::lock_guard lock(cache_mutex_);
    if (cache_[item]) return cache_[item];
  }
  auto loaded = std::make_shared<const std::vector<float>>(
      normalise_waveform(load_utterance(items_[item].utterance), student_.wave_norm));
  std::lock_guard lock(cache_mutex_);
  const std::size_t bytes = loaded->size() * sizeof(float);
  if (!cache_[item] && cached_bytes_ + bytes <= cache_bytes) {
    cache_[item] = loaded;
    cached_bytes_ += bytes;
  }
  return loaded;
}

TrainingExamples TrainingSet::examples(const MicroBatch& batch, const MaskingOptions& masking,
                                       Random random) {
  TrainingExamples made;
  made.rows = static_cast<int64_t>(batch.crops.size());
  made.samples = batch.samples;
  made.frames = student_.frames(batch.samples);
  made.waveforms.reserve(static_cast<std::size_t>(made.rows * made.samples));
  made.labels.reserve(static_cast<std::size_t>(made.rows * made.frames));
  for (const Crop& crop : batch.crops) {
    const auto audio = waveform(crop.utterance);
    const auto first = audio->begin() + crop.first_frame * student_.stride();
    made.waveforms.insert(made.waveforms.end(), first, first + batch.samples);
    const std::vector<int32_t>& labels = items_[crop.utterance].labels;
    for (int64_t frame = 0; frame < made.frames; ++frame)
      made.labels.push_back(labels[static_cast<std::size_t>((crop.first_frame + frame) * labels_per_frame_)]);
  }
  const std::vector<int64_t> frames(batch.crops.size(), made.frames);
  for (const auto& row : span_masks(frames, masking, random))
    made.masked.insert(made.masked.end(), row.begin(), row.end());
  return made;
}

}  // namespace retort
