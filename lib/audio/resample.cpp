#include "audio/resample.h"

#include <soxr.h>

#include "base/error.h"

namespace retort {

std::vector<float> resample(const std::vector<float>& samples, int from_rate, int to_rate) {
  if (from_rate == to_rate) return samples;
  // soxr rounds the length down where we round up; the sample in question is zero.
  std::vector<float> result(
      static_cast<std::size_t>(resampled_length(static_cast<int64_t>(samples.size()), from_rate, to_rate)));
  const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
  const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  std::size_t written = 0;
  const soxr_error_t error = soxr_oneshot(from_rate, to_rate, 1, samples.data(), samples.size(), nullptr,
                                          result.data(), result.size(), &written, &io, &quality, &runtime);
  if (error != nullptr) fail("resampling {} Hz to {} Hz failed: {}", from_rate, to_rate, error);
  return result;
}

int64_t resampled_length(int64_t samples, int from_rate, int to_rate) {
  return (samples * to_rate + from_rate - 1) / from_rate;
}

}  // namespace retort
