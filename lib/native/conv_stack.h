// The convolutions that make frames of samples, piece by piece and without padding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/config.h"
#include "native/linear.h"
#include "native/row_window.h"

namespace retort {

class ConvPiece;

class ConvStack {
 public:
  // A waveform and the first convolution as it acts on it.
  struct Input {
    std::vector<float> samples;
    Linear first;
  };

  ConvStack(const ModelConfig& config, WeightTable& weights, Precision precision);

  int64_t channels() const { return layers_.back().channels; }
  // Takes the norm over time of all of the waveform (samples as the model wants them) into the first
  // convolution.
  Input prepare(std::vector<float> waveform) const;
  // Frames [first, first + out.count) of the input.
  void frames(CpuPath path, const Input& input, int64_t first, const RowSpan& out) const;

 private:
  friend class ConvPiece;
  friend class ConvStream;

  struct Layer {
    int64_t channels, kernel, stride;
    Linear linear;  // of windows of `kernel` rows; empty for the first layer of a stack with GroupNorm
    Norm norm;      // over channels; empty for none
  };

  Linear fold_norm_over_time(const std::vector<float>& centred) const;

  std::vector<Layer> layers_;
  std::vector<float> first_weight_;             // (channels, kernel), of a stack with GroupNorm
  std::vector<float> time_weight_, time_bias_;  // its norm's
};

// The frames of a waveform that is still coming in. The last rows of every layer are kept, so that nothing is
// computed twice.
class ConvStream {
 public:
  // The stack must outlive it. An Error if it has a norm over time.
  ConvStream(const ConvStack& stack, CpuPath path);
  ~ConvStream();

  // Takes the next samples and gives the next out.count frames: no more than samples have come for.
  void push(std::span<const float> samples, const RowSpan& out);

 private:
  std::unique_ptr<ConvPiece> piece_;
  RowWindow samples_;  // those that a frame may still need
  int64_t stride_;     // samples from frame to frame
  int64_t frames_ = 0;
};

}  // namespace retort
