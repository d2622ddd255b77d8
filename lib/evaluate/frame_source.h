// Where the frames of a task's utterances come from: a model that encodes their audio, or feature stores.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "corpus/corpus.h"
#include "encoder/frame_encoder.h"
#include "store/frame_store.h"

namespace retort {

class FrameSource {
 public:
  // Utterance (by position), its samples at 16 kHz, and its frames as outputs().
  using Take = std::function<void(std::size_t, int64_t, const std::vector<Matrix>&)>;

  virtual ~FrameSource() = default;

  virtual const std::vector<EncoderOutput>& outputs() const = 0;
  // The hash that says what the frames are.
  virtual std::string model() const = 0;
  // Hashes of stores; null where there are none.
  virtual Json stores() const { return nullptr; }
  // Each utterance that has frames once, in order. Returns the others by reason; an Error where they are more
  // than `max_bad` of all.
  virtual std::map<std::string, std::size_t> run(const std::vector<Utterance>& utterances, double max_bad,
                                                 const Take& take) = 0;
};

// An Error where it holds labels, or features of another model than this one ("": any).
FrameStore open_feature_store(const std::string& path, const std::string& model);

// By the encoder's options, or of stores, one per layer, where there are some.
std::unique_ptr<FrameSource> open_frame_source(const EncoderOptions& encoder,
                                               const std::vector<std::string>& stores);

// The width of all outputs; a usage Error where they differ, since such layers cannot be mixed.
int64_t common_width(const FrameSource& source);

// Names of the outputs, comma-separated.
std::string layers_of(const FrameSource& source);

}  // namespace retort
