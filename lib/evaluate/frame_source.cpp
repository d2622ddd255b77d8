#include "evaluate/frame_source.h"

#include <fmt/ranges.h>

#include "base/bad_items.h"
#include "base/signals.h"
#include "encoder/audio_frames.h"

namespace retort {
namespace {

constexpr const char* subsystem = "evaluate";

// In every layer: an utterance that lacks them in one cannot be mixed.
bool has_frames(const std::vector<Matrix>& outputs) {
  for (const Matrix& frames : outputs)
    if (frames.rows() == 0) return false;
  return true;
}

class EncodedAudio : public FrameSource {
 public:
  explicit EncodedAudio(const EncoderOptions& options)
      : threads_(options.threads), encoder_(make_frame_encoder(options)) {}

  const std::vector<EncoderOutput>& outputs() const override { return encoder_->outputs(); }
  std::string model() const override { return encoder_->origin(0).model; }

  std::map<std::string, std::size_t> run(const std::vector<Utterance>& utterances, double max_bad,
                                         const Take& take) override {
    BadItems bad(subsystem, max_bad);
    const Corpus corpus(utterances);
    for_each_encoded(corpus, {0, corpus.size()}, *encoder_, threads_, "encode", bad,
                     [&](const EncodedUtterance& encoded) {
                       if (!has_frames(encoded.outputs)) {
                         bad.add(encoded.utterance->id, "too-short", "too short for a frame of this model");
                         return;
                       }
                       const std::ptrdiff_t at = encoded.utterance - corpus.utterances().data();
                       take(static_cast<std::size_t>(at), encoded.samples, encoded.outputs);
                     });
    bad.judge(corpus.size());
    return bad.reasons();
  }

 private:
  int threads_;
  std::unique_ptr<FrameEncoder> encoder_;
};

class StoredFrames : public FrameSource {
 public:
  explicit StoredFrames(const std::vector<std::string>& paths) : paths_(paths) {
    for (const std::string& path : paths) {
      stores_.push_back(open_feature_store(path, stores_.empty() ? "" : model()));
      const StoreInfo& info = stores_.back().info();
      outputs_.push_back({info.origin.layer, info.dim, info.origin.hop});
    }
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  std::string model() const override { return stores_.front().info().origin.model; }
  Json stores() const override {
    Json hashes = Json::array();
    for (const FrameStore& store : stores_) hashes.push_back(store.hash());
    return hashes;
  }

  std::map<std::string, std::size_t> run(const std::vector<Utterance>& utterances, double max_bad,
                                         const Take& take) override {
    BadItems bad(subsystem, max_bad);
    for (std::size_t i = 0; i < utterances.size(); ++i) {
      throw_if_stopped();
      const std::string& id = utterances[i].id;
      std::vector<Matrix> frames;
      for (const FrameStore& store : stores_)
        if (const StoredUtterance* stored = store.find(id)) frames.push_back(store.read_features(*stored));
      if (frames.size() < stores_.size())
        bad.add(id, "missing", fmt::format("has no features in {}", lacking(id)));
      else if (!has_frames(frames))
        bad.add(id, "too-short", "has no frame in the stores");
      else
        take(i, utterances[i].model_samples(), frames);
    }
    bad.judge(utterances.size());
    return bad.reasons();
  }

 private:
  const std::string& lacking(const std::string& id) const {
    std::size_t store = 0;
    while (stores_[store].find(id) != nullptr) ++store;
    return paths_[store];
  }

  std::vector<std::string> paths_;
  std::vector<FrameStore> stores_;
  std::vector<EncoderOutput> outputs_;
};

}  // namespace

FrameStore open_feature_store(const std::string& path, const std::string& model) {
  FrameStore store = FrameStore::open(path);
  const StoreInfo& info = store.info();
  if (info.kind != StoreKind::features) fail("{}: holds labels, features were expected", path);
  if (!model.empty() && info.origin.model != model)
    fail("{}: features of model {}, but those before it are of {}", path, info.origin.model, model);
  return store;
}

std::unique_ptr<FrameSource> open_frame_source(const EncoderOptions& encoder,
                                               const std::vector<std::string>& stores) {
  if (stores.empty()) return std::make_unique<EncodedAudio>(encoder);
  if (!encoder.layers.empty())
    fail_usage("--layer: goes with --model; name the stores of the layers that are wanted");
  refuse_encoder_options(encoder);
  return std::make_unique<StoredFrames>(stores);
}

int64_t common_width(const FrameSource& source) {
  const EncoderOutput& first = source.outputs().front();
  for (const EncoderOutput& output : source.outputs())
    if (output.dim != first.dim)
      fail_usage("--layer: {} has width {}, {} has {}; layers of different width cannot be mixed",
                 first.layer, first.dim, output.layer, output.dim);
  return first.dim;
}

std::string layers_of(const FrameSource& source) {
  std::vector<std::string> names;
  for (const EncoderOutput& output : source.outputs()) names.push_back(output.layer);
  return fmt::format("{}", fmt::join(names, ","));
}

}  // namespace retort
