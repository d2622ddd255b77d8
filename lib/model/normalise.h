// What a waveform needs before a model sees it.
#pragma once

#include <string>
#include <vector>

namespace retort {

// "none", "zscore" or "zscore-hf".
bool is_wave_norm(const std::string& name);
// What is added to a variance.
inline constexpr double zscore_floor = 1e-5;     // PyTorch's layer_norm
inline constexpr double zscore_hf_floor = 1e-7;  // transformers
inline constexpr const char* known_wave_norms = "none, zscore, zscore-hf";

// "none": as it is. "zscore": minus its mean, over sqrt(variance + zscore_floor), with the variance of the
// population, over the whole utterance (fairseq, s3prl, torchaudio: F.layer_norm(wav, wav.shape)).
// "zscore-hf": the same with zscore_hf_floor (transformers:
// Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm), which differs on quiet audio.
std::vector<float> normalise_waveform(std::vector<float> samples, const std::string& wave_norm);

}  // namespace retort
