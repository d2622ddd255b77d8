// Frames to be measured: a model's, and maybe a teacher's beside them, from audio or from stores.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"
#include "encoder/frame_encoder.h"

namespace retort {

struct FeedOptions {
  // From audio: models, and the corpus that both encode. `encoder.layers` and `teacher_layers` must be given
  // unless the model is mfcc or fbank.
  EncoderOptions encoder;
  std::string teacher;  // "": none
  std::string teacher_layers;
  std::string corpus;
  double max_bad = 0.001;
  // In their place: feature stores, one per layer.
  std::vector<std::string> features;
  std::vector<std::string> teacher_features;
  bool partial = false;  // measure what all sides have, and mark the result
};

struct FedLayer {
  std::string name;
  int64_t dim = 0;
  int hop = 320;
  bool of_teacher = false;
};

struct FedUtterance {
  const std::string& id;
  int64_t samples = 0;         // at 16 kHz
  const Json& keys;            // what else its corpus line holds
  std::vector<Matrix> frames;  // as FrameFeed::layers()
};

class FrameFeed {
 public:
  virtual ~FrameFeed() = default;

  // The model's, then the teacher's.
  const std::vector<FedLayer>& layers() const { return layers_; }
  // "model" and, where there is one, "teacher": the hashes that say what the frames are.
  const Json& models() const { return models_; }
  // Hashes of what is read: "corpus", or those of stores.
  const Json& inputs() const { return inputs_; }
  // Ids and samples at 16 kHz of what is to come.
  const std::vector<std::pair<std::string, int64_t>>& utterances() const { return utterances_; }
  // Utterances that one side lacks, which are left out.
  int64_t unmatched() const { return unmatched_; }
  // Every utterance once, in order. Returns the bad ones by reason.
  virtual Json run(const std::function<void(FedUtterance)>& take) = 0;

 protected:
  std::vector<FedLayer> layers_;
  Json models_ = Json::object();
  Json inputs_ = Json::object();
  std::vector<std::pair<std::string, int64_t>> utterances_;
  int64_t unmatched_ = 0;
};

// An Error where sides do not belong together: another corpus, or utterances that only one of them has
// (allowed by `partial`).
std::unique_ptr<FrameFeed> open_feed(const FeedOptions& options);

}  // namespace retort
