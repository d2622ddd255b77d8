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

TrainingSet::TrainingSet(const Corpus& corpus, const FrameStore* labels, TrainingView view,
                         double min_seconds)
    : view_(std::move(view)) {
  if (labels != nullptr) labels_per_frame_ = label_ratio(*labels, view_.student);
  const auto shortest = static_cast<int64_t>(min_seconds * model_rate);
  for (const Utterance& utterance : corpus.utterances()) {
    Item item{utterance, utterance.model_samples(), {}};
    if (labels != nullptr) add_labels(item, *labels);
    if (item.samples < shortest || view_.student.frames(item.samples) == 0) {
      ++left_out_;
      continue;
    }
    items_.push_back(std::move(item));
  }
  if (items_.empty()) fail("no utterance is left to train on; lower batch.min_seconds or give more audio");
  cache_.resize(items_.size());
}

void TrainingSet::add_labels(Item& item, const FrameStore& labels) const {
  const std::string& id = item.utterance.id;
  const StoredUtterance* stored = labels.find(id);
  if (stored == nullptr)
    fail("{}: the labels have no such utterance; they were made from another corpus ({})", id,
         labels.info().origin.corpus);
  const int64_t expected = expected_labels(item.samples, labels.info().origin.hop, view_.student);
  if (stored->samples != item.samples || stored->frames != expected)
    fail("{}: labels are for {} samples ({} labels), the audio has {} ({}); label this corpus again", id,
         stored->samples, stored->frames, item.samples, expected);
  item.labels = labels.read_labels(*stored);
  for (const int32_t label : item.labels)
    if (label < 0 || label >= labels.info().clusters)
      fail("{}: label {} is not below K = {}", id, label, labels.info().clusters);
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
  }
  if (view_.masking)
    for (const auto& row : span_masks(made.valid, *view_.masking, random))
      made.masked.insert(made.masked.end(), row.begin(), row.end());
  return made;
}

}  // namespace retort
