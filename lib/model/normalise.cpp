#include "model/normalise.h"

#include <cmath>

#include "base/error.h"

namespace retort {
bool is_wave_norm(const std::string& name) {
  return name == "none" || name == "zscore" || name == "zscore-hf";
}

std::vector<float> normalise_waveform(std::vector<float> samples, const std::string& wave_norm) {
  if (wave_norm == "none" || samples.empty()) return samples;
  if (!is_wave_norm(wave_norm))
    fail("waveform normalisation {} is not known ({})", wave_norm, known_wave_norms);
  const auto count = static_cast<double>(samples.size());
  double mean = 0;
  for (const float sample : samples) mean += sample;
  mean /= count;
  double variance = 0;
  for (const float sample : samples) variance += (sample - mean) * (sample - mean);
  const double scale =
      1 / std::sqrt(variance / count + (wave_norm == "zscore" ? zscore_floor : zscore_hf_floor));
  for (float& sample : samples) sample = static_cast<float>((sample - mean) * scale);
  return samples;
}

}  // namespace retort
