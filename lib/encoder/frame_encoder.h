// Frames from audio: one interface over mfcc, fbank and the layers of a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "store/frame_store.h"

namespace retort {

struct EncoderOptions {
  std::string model;           // a model folder, "mfcc" or "fbank"
  std::string layers;          // comma-separated names; empty for mfcc and fbank
  std::string device = "cpu";  // cpu, cuda or cuda:i
  int threads = 0;             // 0: all
  // native: on the CPU, without LibTorch; torch: LibTorch, on any device; auto: native on the CPU.
  std::string engine = "auto";
  // What a model's products are computed in: f32, bf16 (native: where the CPU has it), or int8 (native only).
  std::string precision = "f32";
  int mel_bins = 80;   // of fbank, 4 to 256
  bool deltas = true;  // of mfcc: append first and second differences
  // Utterances longer than this many seconds are encoded in overlapping windows of this length; 0: never.
  double window = 60;
  // exact: an utterance gives what it gives alone. compat: batches are padded, and models with GroupNorm see
  // the padding, as they do in the Python tools.
  std::string batching = "exact";
  int batch = 0;          // of compat: utterances per batch, in corpus order
  std::string wave_norm;  // waveform normalisation (model/normalise.h); empty: the model's own
  bool force = false;     // allow a wave_norm that is not the model's own
};

// What a tapped layer yields.
struct EncoderOutput {
  std::string layer;
  int64_t dim = 0;
  int hop = 320;
};

// How audio is put together for one call.
struct BatchRule {
  double seconds = 0;  // at most, padding included; utterances of similar length go together
  int utterances = 0;  // where positive: this many, in the order in which they come
  int together = 8;    // so many batches are sorted by length together, that little of each is padding
};

class FrameEncoder {
 public:
  virtual ~FrameEncoder() = default;

  // In the order asked for.
  virtual const std::vector<EncoderOutput>& outputs() const = 0;
  // Frames of one utterance of this many samples at output o.
  virtual int64_t frames(std::size_t output, int64_t samples) const = 0;
  // result[u][o]: the frames of waveform u at output o. Each utterance gets exactly (to rounding) what it
  // gets alone.
  virtual std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) = 0;
  // Origin of output o, its corpus left empty.
  virtual FrameOrigin origin(std::size_t output) const = 0;
  virtual BatchRule batches() const = 0;
};

// Whether this names filter bank features instead of a model folder.
bool is_feature_name(const std::string& model);

// Whether LibTorch is to compute the model, for which a program must link it (torch_encoder/).
bool wants_torch(const EncoderOptions& options);

// A usage Error for any option that only acts with a model.
void refuse_encoder_options(const EncoderOptions& options);

// For tools that read stored frames where no model is given: the one INPUT that holds them. A usage Error for
// any option that only acts with a model, and for inputs that are audio.
const std::string& stored_frames_input(const EncoderOptions& options, const std::vector<std::string>& inputs);

// A usage Error for options that do not go with the model.
std::unique_ptr<FrameEncoder> make_frame_encoder(const EncoderOptions& options);

}  // namespace retort
