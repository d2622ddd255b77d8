// What a waveform needs before a model sees it.
#pragma once

#include <string>
#include <vector>

namespace retort {

// "none": as it is. "zscore": minus its mean, over sqrt(variance + 1e-5), with the variance of the
// population, over the whole utterance (fairseq: F.layer_norm(wav, wav.shape)).
std::vector<float> normalise_waveform(std::vector<float> samples, const std::string& wave_norm);

}  // namespace retort
