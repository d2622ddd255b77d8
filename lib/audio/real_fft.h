// The power spectrum of a real frame. Frames are short and of one size, so a plain radix-2 transform is
// enough.
#pragma once

#include <complex>
#include <span>
#include <vector>

namespace retort {

class RealFft {
 public:
  // `size` is the number of real points, a power of two of at least 4.
  explicit RealFft(int size);

  // |X[k]|^2 for k = 0 .. size / 2 - 1 of frame[0 .. size); the bin at the Nyquist frequency is left out.
  void power_spectrum(std::span<const double> frame, std::span<double> power);

 private:
  void transform();

  int half_;                                 // points of the complex transform that does the work
  std::vector<std::complex<double>> turns_;  // exp(-2 pi i k / size), k < size / 2
  std::vector<int> reversed_;                // bit reversal of [0, half)
  std::vector<std::complex<double>> points_;
};

}  // namespace retort
