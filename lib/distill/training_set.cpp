#include "distill/training_set.h"

#include <algorithm>
#include <numeric>

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

// The utterance's entry in a store that was made from this very audio.
const StoredUtterance& entry_of(const FrameStore& store, const std::string& id, int64_t samples,
                                int64_t frames, const char* what, const char* remedy) {
  const StoredUtterance* stored = store.find(id);
  if (stored == nullptr)
    fail("{}: the {} have no such utterance; they were made from another corpus ({})", id, what,
         store.info().origin.corpus);
  if (stored->samples != samples || stored->frames != frames)
    fail("{}: {} are for {} samples ({} frames), the audio has {} ({}); {} this corpus again", id, what,
         stored->samples, stored->frames, samples, frames, remedy);
  return *stored;
}

// Appends a row of `width` values: part of an utterance, normalised as a whole, and zeros.
void append_crop(const std::vector<float>& audio, const std::string& wave_norm, const Crop& crop,
                 int64_t first_sample, int64_t width, std::vector<float>& rows) {
  std::vector<float> normalised;
  if (wave_norm != "none") normalised = normalise_waveform(audio, wave_norm);
  const auto first = (wave_norm != "none" ? normalised : audio).begin() + first_sample;
  rows.insert(rows.end(), first, first + crop.samples);
  rows.resize(rows.size() + static_cast<std::size_t>(width - crop.samples));
}

}  // namespace

double TrainingExamples::seconds() const {
  return static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})) / model_rate;
}

TrainingSet::TrainingSet(const Corpus& corpus, StoredTargets targets, TrainingView view, double min_seconds)
    : targets_(std::move(targets)), view_(std::move(view)) {
  if (targets_.labels) labels_per_frame_ = label_ratio(*targets_.labels, view_.student);
  for (const auto& features : targets_.features)
    if (features->info().origin.hop != view_.student.stride())
      fail("features come every {} samples, the student's frames every {}", features->info().origin.hop,
           view_.student.stride());
  const auto shortest = static_cast<int64_t>(min_seconds * model_rate);
  for (const Utterance& utterance : corpus.utterances()) {
    Item item{utterance, utterance.model_samples(), {}, {}};
    if (targets_.labels) add_labels(item);
    add_features(item);
    if (item.samples < shortest || view_.student.frames(item.samples) == 0) {
      ++left_out_;
      continue;
    }
    items_.push_back(std::move(item));
  }
  if (items_.empty()) fail("no utterance is left to train on; lower batch.min_seconds or give more audio");
  cache_.resize(items_.size());
}

void TrainingSet::add_labels(Item& item) const {
  const FrameStore& labels = *targets_.labels;
  const std::string& id = item.utterance.id;
  const int64_t expected = expected_labels(item.samples, labels.info().origin.hop, view_.student);
  item.labels = labels.read_labels(entry_of(labels, id, item.samples, expected, "labels", "label"));
  for (const int32_t label : item.labels)
    if (label < 0 || label >= labels.info().clusters)
      fail("{}: label {} is not below K = {}", id, label, labels.info().clusters);
}

void TrainingSet::add_features(Item& item) const {
  for (const auto& features : targets_.features)
    item.first_features.push_back(entry_of(*features, item.utterance.id, item.samples,
                                           view_.student.frames(item.samples), "features", "extract")
                                      .start);
}

std::vector<int64_t> TrainingSet::samples() const {
  std::vector<int64_t> samples;
  for (const Item& item : items_) samples.push_back(item.samples);
  return samples;
}

TrainingSet::Waveform TrainingSet::waveform(std::size_t item) {
  {
    std::lock_guard lock(cache_mutex_);
    if (cache_[item]) return cache_[item];
  }
  auto loaded = std::make_shared<const std::vector<float>>(load_utterance(items_[item].utterance));
  std::lock_guard lock(cache_mutex_);
  const std::size_t bytes = loaded->size() * sizeof(float);
  if (!cache_[item] && cached_bytes_ + bytes <= cache_bytes) {
    cache_[item] = loaded;
    cached_bytes_ += bytes;
  }
  return loaded;
}

void TrainingSet::append_labels(const Crop& crop, TrainingExamples& examples) const {
  const std::vector<int32_t>& labels = items_[crop.utterance].labels;
  for (int64_t frame = 0; frame < examples.valid.back(); ++frame)
    examples.labels.push_back(
        labels[static_cast<std::size_t>((crop.first_frame + frame) * labels_per_frame_)]);
  examples.labels.resize(static_cast<std::size_t>(examples.rows() * examples.frames));
}

void TrainingSet::append_features(const Crop& crop, TrainingExamples& examples) const {
  examples.features.resize(targets_.features.size());
  for (std::size_t layer = 0; layer < targets_.features.size(); ++layer) {
    const FrameStore& store = *targets_.features[layer];
    StoredFeatures& features = examples.features[layer];
    features.dim = store.info().dim;
    const std::size_t begin = features.values.size();
    features.values.resize(begin + static_cast<std::size_t>(examples.frames * features.dim));
    store.read_rows(items_[crop.utterance].first_features[layer] + crop.first_frame, examples.valid.back(),
                    features.values.data() + begin);
  }
}

TrainingExamples TrainingSet::examples(const MicroBatch& batch, Random random) {
  const ModelConfig& student = view_.student;
  const bool teacher_differs =
      !view_.teacher_wave_norm.empty() && view_.teacher_wave_norm != student.wave_norm;
  TrainingExamples made;
  made.samples = batch.samples;
  made.frames = student.frames(batch.samples);
  for (const Crop& crop : batch.crops) {
    const Waveform audio = waveform(crop.utterance);
    const int64_t first = crop.first_frame * student.stride();
    append_crop(*audio, student.wave_norm, crop, first, made.samples, made.waveforms);
    if (teacher_differs)
      append_crop(*audio, view_.teacher_wave_norm, crop, first, made.samples, made.teacher_waveforms);
    made.ids.push_back(items_[crop.utterance].utterance.id);
    made.lengths.push_back(crop.samples);
    made.valid.push_back(student.frames(crop.samples));
    if (labels_per_frame_ > 0) append_labels(crop, made);
    append_features(crop, made);
  }
  if (view_.masking)
    for (const auto& row : span_masks(made.valid, *view_.masking, random))
      made.masked.insert(made.masked.end(), row.begin(), row.end());
  return made;
}

}  // namespace retort
