#include "audio/fbank.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "audio/real_fft.h"
#include "audio/waveform.h"
#include "base/error.h"

namespace retort {
namespace {

constexpr int fft_points = 512;  // the next power of two above the window
constexpr int fft_bins = fft_points / 2;
constexpr int delta_reach = 2;  // frames on either side that a difference looks at

// 1127 ln(1 + f / 700), Kaldi's mel scale.
double mel_of(double hertz) {
  return 1127.0 * std::log(1.0 + hertz / 700.0);
}

// Kaldi's "povey" window: a Hann window, zero at both ends, to the power of 0.85.
std::vector<double> povey_window() {
  std::vector<double> window(feature_window);
  for (int i = 0; i < feature_window; ++i) {
    const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / (feature_window - 1));
    window[static_cast<std::size_t>(i)] = std::pow(hann, 0.85);
  }
  return window;
}

// A triangle over the bins [first, first + weights.size()) of the spectrum.
struct MelFilter {
  int first = 0;
  std::vector<double> weights;

  double apply(std::span<const double> power) const {
    return std::inner_product(weights.begin(), weights.end(), power.begin() + first, 0.0);
  }
};

// Triangles that are straight on the mel scale, each reaching to the centres of its neighbours.
std::vector<MelFilter> mel_filters(const FbankOptions& options) {
  const double nyquist = model_rate / 2.0;
  const double high = options.high_frequency > 0 ? options.high_frequency : nyquist + options.high_frequency;
  if (options.mel_bins < 1 || options.low_frequency < 0 || high <= options.low_frequency || high > nyquist)
    fail_usage("{} mel bins from {} to {} Hz is no filter bank below {} Hz", options.mel_bins,
               options.low_frequency, high, nyquist);
  const double lowest = mel_of(options.low_frequency);
  const double step = (mel_of(high) - lowest) / (options.mel_bins + 1);
  std::vector<MelFilter> filters(static_cast<std::size_t>(options.mel_bins));
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const double left = lowest + static_cast<double>(i) * step;
    const double centre = left + step;
    const double right = centre + step;
    for (int bin = 0; bin < fft_bins; ++bin) {
      const double mel = mel_of(static_cast<double>(bin) * model_rate / fft_points);
      const double weight = std::min((mel - left) / (centre - left), (right - mel) / (right - centre));
      if (weight <= 0) continue;
      if (filters[i].weights.empty()) filters[i].first = bin;
      filters[i].weights.push_back(weight);
    }
  }
  return filters;
}

// One frame without its mean, with high frequencies raised, windowed; the rest of `frame` stays zero.
void condition(std::span<const float> samples, double preemphasis, std::span<const double> window,
               std::span<double> frame) {
  const double mean = std::accumulate(samples.begin(), samples.end(), 0.0) / feature_window;
  double previous = samples[0] - mean;  // the sample before the first counts as equal to it
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double centred = samples[i] - mean;
    frame[i] = (centred - preemphasis * previous) * window[i];
    previous = centred;
  }
}

// (coefficients, mel bins): orthonormal DCT-II with the lifter folded in.
std::vector<std::vector<double>> lifted_dct(const MfccOptions& options) {
  const int bins = options.fbank.mel_bins;
  if (options.coefficients < 1 || options.coefficients > bins)
    fail_usage("{} cepstral coefficients cannot be had from {} mel bins", options.coefficients, bins);
  std::vector<std::vector<double>> rows;
  for (int k = 0; k < options.coefficients; ++k) {
    const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / bins);
    const double q = options.cepstral_lifter;
    const double lifter = q == 0 ? 1.0 : 1.0 + 0.5 * q * std::sin(std::numbers::pi * k / q);
    std::vector<double>& row = rows.emplace_back();
    for (int n = 0; n < bins; ++n)
      row.push_back(lifter * scale * std::cos(std::numbers::pi / bins * (n + 0.5) * k));
  }
  return rows;
}

// Writes the differences of columns [from, from + count) into columns [to, to + count), as
// torchaudio.functional.compute_deltas: sum over n of n (c[t+n] - c[t-n]) / 10, the outermost frames
// repeated.
void append_deltas(Matrix& features, int64_t from, int64_t to, int64_t count) {
  const int64_t last = features.rows() - 1;
  constexpr double norm = 2 * (1 * 1 + 2 * 2);
  for (int64_t t = 0; t <= last; ++t) {
    for (int64_t c = 0; c < count; ++c) {
      double sum = 0;
      for (int n = 1; n <= delta_reach; ++n) {
        const double after = features(std::min(t + n, last), from + c);
        const double before = features(std::max<int64_t>(t - n, 0), from + c);
        sum += n * (after - before);
      }
      features(t, to + c) = static_cast<float>(sum / norm);
    }
  }
}

}  // namespace

int64_t fbank_frames(int64_t samples) {
  return samples < feature_window ? 0 : 1 + (samples - feature_window) / feature_hop;
}

Matrix fbank(std::span<const float> samples, const FbankOptions& options) {
  // The floor keeps silence finite; torchaudio's is the smallest step of a float at 1.
  constexpr double floor = std::numeric_limits<float>::epsilon();
  const std::vector<MelFilter> filters = mel_filters(options);
  const std::vector<double> window = povey_window();
  RealFft fft(fft_points);
  std::vector<double> frame(fft_points);
  std::vector<double> power(fft_bins);
  Matrix energies(fbank_frames(static_cast<int64_t>(samples.size())), options.mel_bins);
  for (int64_t t = 0; t < energies.rows(); ++t) {
    condition(samples.subspan(static_cast<std::size_t>(t * feature_hop), feature_window), options.preemphasis,
              window, frame);
    fft.power_spectrum(frame, power);
    const std::span<float> row = energies.row(t);
    for (std::size_t i = 0; i < filters.size(); ++i)
      row[i] = static_cast<float>(std::log(std::max(filters[i].apply(power), floor)));
  }
  return energies;
}

Matrix mfcc(std::span<const float> samples, const MfccOptions& options) {
  const std::vector<std::vector<double>> dct = lifted_dct(options);
  const Matrix energies = fbank(samples, options.fbank);
  const int64_t count = options.coefficients;
  Matrix features(energies.rows(), options.deltas ? 3 * count : count);
  for (int64_t t = 0; t < features.rows(); ++t) {
    const std::span<const float> row = energies.row(t);
    for (int64_t k = 0; k < count; ++k) {
      const std::vector<double>& basis = dct[static_cast<std::size_t>(k)];
      features(t, k) = static_cast<float>(std::inner_product(row.begin(), row.end(), basis.begin(), 0.0));
    }
  }
  if (options.deltas) {
    append_deltas(features, 0, count, count);
    append_deltas(features, count, 2 * count, count);
  }
  return features;
}

}  // namespace retort
