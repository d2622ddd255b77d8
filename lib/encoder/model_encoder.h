// Layers of a model folder: what all engines that compute them share, and the engines.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "encoder/frame_encoder.h"
#include "model/layers.h"
#include "model/model_source.h"

namespace retort {

// The most audio that an engine takes in one call, in seconds.
inline constexpr double most_batch_seconds = 320;

// Everything but the network.
class ModelEncoder : public FrameEncoder {
 public:
  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(std::size_t output, int64_t samples) const override {
    return layer_frames(layers_[output], config_, samples);
  }
  FrameOrigin origin(std::size_t output) const override;
  const ModelConfig& config() const { return config_; }
  const std::vector<Layer>& layers() const { return layers_; }
  // What encode() gives from now on, in place of the options' layers.
  void choose_layers(std::vector<Layer> layers);

 protected:
  ModelEncoder(const EncoderOptions& options, ModelSource source);

  const ModelSource& source() const { return source_; }
  void set_hash(const std::string& hash) { hash_ = hash; }
  int threads() const { return threads_; }
  // Audio for one call on a CPU: enough that no thread is without work at its end.
  double cpu_batch_seconds() const;
  bool is_compat() const { return compat_; }
  int batch_utterances() const { return batch_utterances_; }
  bool is_long(const std::vector<float>& waveform) const;
  std::vector<float> normalised(const std::vector<float>& waveform) const;

  // One long utterance in overlapping windows. encode(first, count) gives the layers of `count` of the conv
  // stack's `frames` frames.
  using EncodeWindow = std::function<std::vector<Matrix>(int64_t first, int64_t count)>;
  std::vector<Matrix> encode_windows(int64_t samples, int64_t frames, const EncodeWindow& encode) const;

 private:
  void settle_wave_norm(const EncoderOptions& options);
  std::string stamped_batching() const;

  ModelSource source_;
  ModelConfig config_;
  std::string hash_;
  std::string precision_;
  std::string stamped_wave_norm_;
  int threads_;
  bool compat_;
  int batch_utterances_;
  double window_;  // seconds
  std::vector<Layer> layers_;
  std::vector<EncoderOutput> outputs_;
};

// On the CPU, without LibTorch (native_model_encoder.cpp).
std::unique_ptr<FrameEncoder> make_native_model_encoder(const EncoderOptions& options);

// What make_frame_encoder() calls for LibTorch's engine; empty where no program asked for it.
using ModelEncoderMaker = std::unique_ptr<FrameEncoder> (*)(const EncoderOptions&);
inline ModelEncoderMaker make_torch_model_encoder = nullptr;

}  // namespace retort
