// Samples at another rate.
#pragma once

#include <cstdint>
#include <vector>

namespace retort {

inline constexpr int model_rate = 16000;  // samples per second that every model and feature here works at

// Resamples with soxr's highest quality. The result has exactly resampled_length(samples) samples.
std::vector<float> resample(const std::vector<float>& samples, int from_rate, int to_rate);

// ceil(samples * to_rate / from_rate).
int64_t resampled_length(int64_t samples, int from_rate, int to_rate);

}  // namespace retort
