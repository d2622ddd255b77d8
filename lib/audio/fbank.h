// Filter banks and MFCC as torchaudio.compliance.kaldi computes them from samples in [-1, 1], with dither 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"

namespace retort {

// Defaults are those of torchaudio.compliance.kaldi.fbank/mfcc at 16 kHz; windows of 25 ms every 10 ms.
struct FbankOptions {
  int mel_bins = 23;          // torchaudio's default; 80 is common for speech recognition
  double low_frequency = 20;  // Hz
  double high_frequency = 0;  // Hz; 0 is the Nyquist frequency
  double preemphasis = 0.97;
};

struct MfccOptions {
  FbankOptions fbank;
  int coefficients = 13;  // C0 first; energy is not used
  double cepstral_lifter = 22;
  bool deltas =
      true;  // append first and second order differences: 39 dimensions, as HuBERT's first iteration
};

inline constexpr int feature_hop = 160;     // samples between frames
inline constexpr int feature_window = 400;  // samples in a frame

// Frames of `samples` samples at 16 kHz: 1 + (samples - 400) / 160, none below 400.
int64_t fbank_frames(int64_t samples);

// (frames, mel_bins) log mel energies.
Matrix fbank(std::span<const float> samples, const FbankOptions& options);

// (frames, coefficients) or, with deltas, (frames, 3 * coefficients). Source: interop with fairseq's
// dump_mfcc_feature.
Matrix mfcc(std::span<const float> samples, const MfccOptions& options);

}  // namespace retort
