#include "model/normalise.h"

#include <cmath>

#include "base/error.h"

namespace retort {
namespace {

constexpr double variance_floor = 1e-5;

}  // namespace

std::vector<float> normalise_waveform(std::vector<float> samples, const std::string& wave_norm) {
  if (wave_norm == "none" || samples.empty()) return samples;
  if (wave_norm != "zscore") fail("waveform normalisation {} is not known (none, zscore)", wave_norm);
  const auto count = static_cast<double>(samples.size());
  double mean = 0;
  for (const float sample : samples) mean += sample;
  mean /= count;
  double variance = 0;
  for (const float sample : samples) variance += (sample - mean) * (sample - mean);
  const double scale = 1 / std::sqrt(variance / count + variance_floor);
  for (float& sample : samples) sample = static_cast<float>((sample - mean) * scale);
  return samples;
}

}  // namespace retort
