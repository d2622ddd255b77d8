#include "evaluate/frame_feed.h"

#include <algorithm>

#include "base/bad_items.h"
#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "encoder/joined_encoder.h"
#include "evaluate/frame_source.h"

namespace retort {
namespace {

class AudioFeed : public FrameFeed {
 public:
  explicit AudioFeed(const FeedOptions& options)
      : corpus_(Corpus::read(options.corpus)),
        threads_(options.encoder.threads),
        max_bad_(options.max_bad),
        encoder_(make_frame_encoder(options.encoder)) {
    const std::size_t ours = encoder_->outputs().size();
    if (!options.teacher.empty()) {
      EncoderOptions teacher = options.encoder;
      teacher.model = options.teacher;
      teacher.layers = options.teacher_layers;
      encoder_ = join_encoders(std::move(encoder_), make_frame_encoder(teacher));
    }
    for (const EncoderOutput& output : encoder_->outputs())
      layers_.push_back({output.layer, output.dim, output.hop, layers_.size() >= ours});
    for (const Utterance& utterance : corpus_.utterances())
      utterances_.emplace_back(utterance.id, utterance.model_samples());
    models_["model"] = encoder_->origin(0).model;
    if (!options.teacher.empty()) models_["teacher"] = encoder_->origin(ours).model;
    inputs_["corpus"] = corpus_.hash();
  }

  Json run(const std::function<void(FedUtterance)>& take) override {
    BadItems bad("evaluate", max_bad_);
    for_each_encoded(
        corpus_, {0, corpus_.size()}, *encoder_, threads_, "encode", bad, [&](EncodedUtterance encoded) {
          take(
              {encoded.utterance->id, encoded.samples, encoded.utterance->extra, std::move(encoded.outputs)});
        });
    bad.judge(corpus_.size());
    return bad.reasons();
  }

 private:
  Corpus corpus_;
  int threads_;
  double max_bad_;
  std::unique_ptr<FrameEncoder> encoder_;
};

class StoreFeed : public FrameFeed {
 public:
  explicit StoreFeed(const FeedOptions& options) {
    for (const std::string& path : options.features) open(path, false);
    for (const std::string& path : options.teacher_features) open(path, true);
    for (const StoredUtterance& utterance : stores_.front().utterances()) {
      const bool everywhere = std::all_of(stores_.begin(), stores_.end(), [&](const FrameStore& store) {
        return store.find(utterance.id) != nullptr;
      });
      if (everywhere) utterances_.emplace_back(utterance.id, utterance.samples);
    }
    for (std::size_t i = 0; i < stores_.size(); ++i) require_all(stores_[i], paths_[i], options.partial);
    if (utterances_.empty()) fail("{} and {} have no utterance in common", paths_.front(), paths_.back());
  }

  Json run(const std::function<void(FedUtterance)>& take) override {
    const Json nothing = Json::object();
    for (const auto& [id, samples] : utterances_) {
      throw_if_stopped();
      std::vector<Matrix> frames;
      for (const FrameStore& store : stores_) frames.push_back(store.read_features(*store.find(id)));
      take({id, samples, nothing, std::move(frames)});
    }
    return nothing;
  }

 private:
  void open(const std::string& path, bool of_teacher) {
    const char* side = of_teacher ? "teacher" : "model";
    FrameStore store = open_feature_store(path, json_get_or(models_, side, std::string(), path));
    const StoreInfo& info = store.info();
    if (!stores_.empty() && info.origin.corpus != stores_.front().info().origin.corpus)
      log_warning("evaluate", "{} and {} were made from different corpora", paths_.front(), path);
    models_[side] = info.origin.model;
    inputs_[of_teacher ? "teacher_features" : "features"].push_back(store.hash());
    layers_.push_back({info.origin.layer, info.dim, info.origin.hop, of_teacher});
    stores_.push_back(std::move(store));
    paths_.push_back(path);
  }

  // Every utterance of the store must be among those that all have.
  void require_all(const FrameStore& store, const std::string& path, bool partial) {
    const auto extra = static_cast<int64_t>(store.utterances().size() - utterances_.size());
    if (extra == 0) return;
    if (!partial) {
      const auto& all = store.utterances();
      const auto lone = std::find_if(all.begin(), all.end(), [&](const StoredUtterance& one) {
        return std::any_of(stores_.begin(), stores_.end(),
                           [&](const FrameStore& other) { return other.find(one.id) == nullptr; });
      });
      fail("{}: {} of its {} utterances (the first is {}) are missing elsewhere; --partial measures the rest",
           path, extra, all.size(), lone->id);
    }
    unmatched_ += extra;
  }

  std::vector<FrameStore> stores_;
  std::vector<std::string> paths_;
};

}  // namespace

std::unique_ptr<FrameFeed> open_feed(const FeedOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  if (from_audio == !options.features.empty())
    fail_usage("--model with --corpus, or --features: one of them says what is measured");
  if (from_audio && options.corpus.empty()) fail_usage("--corpus: --model needs the audio to encode");
  if (from_audio && !options.teacher_features.empty())
    fail_usage("--teacher-features: goes with --features; --model goes with --teacher");
  if (from_audio) return std::make_unique<AudioFeed>(options);
  if (!options.teacher.empty())
    fail_usage("--teacher: goes with --model; --features with --teacher-features");
  if (!options.corpus.empty()) fail_usage("--corpus: goes with --model");
  refuse_encoder_options(options.encoder);
  return std::make_unique<StoreFeed>(options);
}

}  // namespace retort
