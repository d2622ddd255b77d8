#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/hash.h"
#include "evaluate/frame_measure.h"
#include "kmeans/frame_sources.h"
#include "kmeans/kmeans.h"
#include "measures/alignments.h"
#include "measures/label_agreement.h"
#include "measures/phone_tally.h"
#include "measures/softmax_regression.h"
#include "measures/unit_quality.h"

namespace retort {
namespace {

// A fifth of the utterances is for the test, by the first digits of a hash, so that an utterance stays where
// it is whatever else the corpus holds.
bool is_test(const FedUtterance& utterance, const std::string& split_by) {
  std::string key = utterance.id;
  if (!split_by.empty()) {
    if (!utterance.keys.contains(split_by)) fail("{}: has no \"{}\" to split by", utterance.id, split_by);
    const Json& value = utterance.keys.at(split_by);
    key = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return std::stoul(hash_text(key).substr(0, 8), nullptr, 16) % 10 >= 8;
}

class PhoneMeasure : public FrameMeasure {
 public:
  PhoneMeasure(const FrameFeed& feed, const FrameGrid& grid, const PhoneMeasureOptions& options)
      : grid_(grid), options_(options), alignments_(Alignments::read(options.alignments)) {
    int64_t expected = 0;
    for (const auto& [id, samples] : feed.utterances())
      if (alignments_.find(id) != nullptr) expected += samples / grid.hop();
    if (expected == 0)
      fail("{}: none of the {} utterances is aligned in it; are they of the same corpus?", options.alignments,
           feed.utterances().size());
    step_ = thinning(expected, options.frames);
    for (const std::size_t layer : grid.layers()) {
      layers_.push_back(feed.layers()[layer]);
      frames_.emplace_back(layers_.back().dim, expected / step_);
    }
    for (const std::string& phone : alignments_.phones()) silent_.push_back(is_silence(phone));
  }

  std::string name() const override { return "phones"; }

  void add(const FedUtterance& utterance) override {
    const std::vector<AlignedPhone>* phones = alignments_.find(utterance.id);
    if (phones == nullptr) {
      ++without_alignment_;
      return;
    }
    require_same_audio(options_.alignments, utterance.id, utterance.samples, *phones);
    ++utterances_;
    const std::vector<int64_t> kept = choose_frames(utterance, *phones);
    if (kept.empty()) return;
    test_.resize(phones_.size(), is_test(utterance, options_.split_by));
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      Matrix rows(static_cast<int64_t>(kept.size()), layers_[layer].dim);
      for (std::size_t i = 0; i < kept.size(); ++i)
        std::copy_n(grid_.row(utterance, layer, kept[i]), rows.columns(),
                    rows.row(static_cast<int64_t>(i)).data());
      frames_[layer].add(utterance.id, rows);
    }
  }

  void finish(Json& result) override {
    if (phones_.empty())
      fail("{}: no frame lies in a phone, so there is nothing to score", options_.alignments);
    number_phones();
    std::vector<std::vector<int32_t>> units;
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      Json& metrics = layer_metrics(result, layers_[layer]);
      units.push_back(units_of(frames_[layer]));
      metrics["units"] = unit_metrics(units.back());
      metrics["phone_probe"] = probe_metrics(frames_[layer]);
    }
    for (std::size_t ours = 0; ours < layers_.size(); ++ours)
      for (std::size_t theirs = 0; theirs < layers_.size(); ++theirs)
        if (!layers_[ours].of_teacher && layers_[theirs].of_teacher)
          result["metrics"]["agreement"].push_back(agreement_of(ours, theirs, units));
    result["counts"]["phones"] = {
        {"frames", phones_.size()},
        {"of_frames", seen_},
        {"test_frames", std::count(test_.begin(), test_.end(), true)},
        {"test_frames_of_unseen_phones", unseen_},
        {"phones", numbers_.size()},
        {"frames_of_silence", silence_},
        {"frames_outside_phones", outside_},
        {"utterances", utterances_},
        {"utterances_without_alignment", without_alignment_},
        {"alignments_without_frames", static_cast<int64_t>(alignments_.utterances()) - utterances_}};
  }

 private:
  // Which frames of the grid are kept; their phones go to phones_.
  std::vector<int64_t> choose_frames(const FedUtterance& utterance, const std::vector<AlignedPhone>& phones) {
    std::vector<int64_t> kept;
    const int64_t frames = grid_.frames(utterance);
    for (int64_t frame = 0; frame < frames; ++frame) {
      const int phone = phone_at(phones, frame * grid_.hop() + frame_centre);
      if (phone < 0)
        ++outside_;
      else if (silent_[static_cast<std::size_t>(phone)])
        ++silence_;
      else if (seen_++ % step_ == 0) {
        kept.push_back(frame);
        phones_.push_back(phone);
      }
    }
    return kept;
  }

  // Phones that occur, as 0, 1, 2 ...; and how many test frames are of phones that training lacks.
  void number_phones() {
    std::map<int32_t, bool> trained;
    for (std::size_t i = 0; i < phones_.size(); ++i) {
      numbers_.emplace(phones_[i], static_cast<int32_t>(numbers_.size()));
      trained[phones_[i]] = trained[phones_[i]] || !test_[i];
    }
    for (const int32_t phone : phones_) unseen_ += !trained[phone];
    for (int32_t& phone : phones_) phone = numbers_.at(phone);
  }

  std::vector<int32_t> units_of(const GatheredFrames& frames) const {
    KmeansOptions options;
    options.clusters = options_.clusters;
    options.seed = options_.seed;
    options.threads = options_.threads;
    return run_kmeans(frames, options).labels;
  }

  Json unit_metrics(const std::vector<int32_t>& units) const {
    ContingencyTable counts(numbers_.size(),
                            std::vector<int64_t>(static_cast<std::size_t>(options_.clusters)));
    for (std::size_t i = 0; i < units.size(); ++i)
      ++counts[static_cast<std::size_t>(phones_[i])][static_cast<std::size_t>(units[i])];
    const UnitQuality quality = unit_quality(counts);
    Json metrics = metrics_of(quality);
    metrics["units_used"] = quality.units_used;
    metrics["units"] = options_.clusters;
    return metrics;
  }

  Json probe_metrics(const GatheredFrames& frames) const {
    ClassifiedFrames train, test;
    train.dim = test.dim = frames.dim();
    for (std::size_t i = 0; i < phones_.size(); ++i) {
      ClassifiedFrames& side = test_[i] ? test : train;
      side.rows.push_back(frames.rows_in_place(static_cast<int64_t>(i), 1));
      side.classes.push_back(phones_[i]);
    }
    if (train.count() == 0 || test.count() == 0)
      fail("{}: {} utterances are too few to be split ({} frames to train on, {} to test)",
           options_.alignments, utterances_, train.count(), test.count());
    SoftmaxOptions options;
    options.classes = static_cast<int64_t>(numbers_.size());
    options.threads = options_.threads;
    const SoftmaxRegression model = SoftmaxRegression::train(train, options);
    std::vector<int64_t> counts(numbers_.size());
    for (const int32_t phone : train.classes) ++counts[static_cast<std::size_t>(phone)];
    const auto most = std::max_element(counts.begin(), counts.end()) - counts.begin();
    const auto tested = static_cast<double>(test.count());
    const int64_t correct = model.correct(test);
    return {
        {"accuracy", static_cast<double>(correct) / tested},
        {"majority",
         static_cast<double>(std::count(test.classes.begin(), test.classes.end(), most)) / tested},
        {"correct", correct},
        {"train_accuracy", static_cast<double>(model.correct(train)) / static_cast<double>(train.count())},
        {"loss", model.loss()},
        {"iterations", model.iterations()},
        {"converged", model.converged()}};
  }

  Json agreement_of(std::size_t ours, std::size_t theirs,
                    const std::vector<std::vector<int32_t>>& units) const {
    const auto clusters = static_cast<std::size_t>(options_.clusters);
    ContingencyTable counts(clusters, std::vector<int64_t>(clusters));
    for (std::size_t i = 0; i < phones_.size(); ++i)
      ++counts[static_cast<std::size_t>(units[theirs][i])][static_cast<std::size_t>(units[ours][i])];
    Json metrics = {{"layer", layers_[ours].name}, {"teacher_layer", layers_[theirs].name}};
    metrics.update(metrics_of(label_agreement(counts)));
    return metrics;
  }

  const FrameGrid grid_;
  const PhoneMeasureOptions options_;
  const Alignments alignments_;
  std::vector<bool> silent_;  // by phone
  std::vector<FedLayer> layers_;
  std::vector<GatheredFrames> frames_;  // by layer, those that were kept
  std::vector<int32_t> phones_;         // of each
  std::vector<bool> test_;              // whether each is for the test
  std::map<int32_t, int32_t> numbers_;  // of phones that occur
  int64_t step_ = 1;
  int64_t seen_ = 0;  // frames in phones
  int64_t silence_ = 0;
  int64_t outside_ = 0;
  int64_t unseen_ = 0;
  int64_t utterances_ = 0;
  int64_t without_alignment_ = 0;
};

}  // namespace

std::unique_ptr<FrameMeasure> make_phone_measure(const FrameFeed& feed, const FrameGrid& grid,
                                                 const PhoneMeasureOptions& options) {
  return std::make_unique<PhoneMeasure>(feed, grid, options);
}

}  // namespace retort
