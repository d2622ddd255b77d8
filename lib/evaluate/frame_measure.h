// What is measured while frames go by: each sees every utterance once, and says what it found in the end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluate/frame_feed.h"

namespace retort {

class FrameMeasure {
 public:
  virtual ~FrameMeasure() = default;
  virtual std::string name() const = 0;
  virtual void add(const FedUtterance& utterance) = 0;
  // Adds what it found to the "metrics" and "counts" of `result`.
  virtual void finish(Json& result) = 0;
};

// The frames of some of a feed's layers that are taken at the same instants, every `hop` samples.
class FrameGrid {
 public:
  // `wanted` samples from one frame to the next, or more where a layer has fewer frames. An Error where the
  // layers' hops have no common multiple there.
  FrameGrid(const std::vector<FedLayer>& all, std::vector<std::size_t> layers, int wanted);

  int hop() const { return hop_; }
  const std::vector<std::size_t>& layers() const { return layers_; }
  // Frames of the utterance that all the layers have. They may differ by one at its end; more is an Error.
  int64_t frames(const FedUtterance& utterance) const;
  // Frame `frame` of the grid in the i-th of its layers.
  const float* row(const FedUtterance& utterance, std::size_t i, int64_t frame) const;

 private:
  std::vector<std::size_t> layers_;
  std::vector<std::string> names_;
  std::vector<int64_t> steps_;
  int hop_ = 0;
};

// Every how many of about `expected` things one is taken so that there are at most `most`; 0: all.
int64_t thinning(int64_t expected, int64_t most);

struct PhoneMeasureOptions {
  std::string alignments;   // CTM file
  int64_t frames = 180000;  // at most that are scored, evenly spaced; an hour at 50 Hz; 0: all
  int64_t clusters = 100;   // K of the units
  uint64_t seed = 0;        // of k-means
  std::string split_by;     // key whose values stay together in train or test; "": the id
  int threads = 0;
};
// Units made from each layer against phones, a linear probe of phones, and how the model's units agree with
// the teacher's.
std::unique_ptr<FrameMeasure> make_phone_measure(const FrameFeed& feed, const FrameGrid& grid,
                                                 const PhoneMeasureOptions& options);

struct AbxMeasureOptions {
  std::string items;               // item file
  std::string context = "within";  // compare items of the same neighbours, or any
  int64_t most = 0;      // items per phone, speaker and context, chosen by a hash of their place; 0: all
  bool partial = false;  // leave out items of utterances that are not there
  int threads = 0;
};
std::unique_ptr<FrameMeasure> make_abx_measure(const FrameFeed& feed, const FrameGrid& grid,
                                               const AbxMeasureOptions& options);

struct SimilarityMeasureOptions {
  int64_t frames = 50000;  // at most that are compared, evenly spaced; 0: all
  int threads = 0;
};
// Of each of the grid's layers of the model with each of the teacher's.
std::unique_ptr<FrameMeasure> make_similarity_measure(const FrameFeed& feed, const FrameGrid& grid,
                                                      const SimilarityMeasureOptions& options);

// The entry of `result`'s "metrics" for a layer, made where it is missing.
Json& layer_metrics(Json& result, const FedLayer& layer);

}  // namespace retort
