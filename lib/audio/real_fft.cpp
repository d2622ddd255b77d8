#include "audio/real_fft.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace retort {
namespace {

using Complex = std::complex<double>;

// std::complex multiplies with a check for NaN that costs more than the product.
Complex product(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

RealFft::RealFft(int size) : half_(size / 2) {
  const auto half = static_cast<std::size_t>(half_);
  turns_.resize(half);
  for (std::size_t k = 0; k < half; ++k) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(k) / size;
    turns_[k] = {std::cos(angle), std::sin(angle)};
  }
  reversed_.assign(half, 0);
  for (int i = 1, j = 0; i < half_; ++i) {
    int bit = half_ >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    reversed_[static_cast<std::size_t>(i)] = j;
  }
  points_.resize(half);
}

// Cooley-Tukey over points_, which are in bit-reversed order.
void RealFft::transform() {
  Complex* const points = points_.data();
  const Complex* const turns = turns_.data();
  for (int span = 1; span < half_; span *= 2) {
    const int stride = half_ / span;  // in turns_, whose steps are half as wide as this transform's
    for (int first = 0; first < half_; first += 2 * span) {
      for (int k = 0; k < span; ++k) {
        const Complex upper = points[first + k];
        const Complex lower = product(points[first + k + span], turns[k * stride]);
        points[first + k] = upper + lower;
        points[first + k + span] = upper - lower;
      }
    }
  }
}

// Even and odd samples are the real and imaginary parts of one complex transform of half the size; the
// symmetry of the transform of real numbers takes them apart again.
void RealFft::power_spectrum(std::span<const double> frame, std::span<double> power) {
  const auto half = static_cast<std::size_t>(half_);
  for (std::size_t i = 0; i < half; ++i) {
    const auto from = 2 * static_cast<std::size_t>(reversed_[i]);
    points_[i] = {frame[from], frame[from + 1]};
  }
  transform();
  for (std::size_t k = 0; k < half; ++k) {
    const Complex here = points_[k];
    const Complex mirrored = std::conj(points_[(half - k) % half]);
    const Complex even = 0.5 * (here + mirrored);
    const Complex odd = product({0, -0.5}, here - mirrored);
    power[k] = std::norm(even + product(odd, turns_[k]));
  }
}

}  // namespace retort
