#include "audio/real_fft.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

using namespace retort;

TEST_CASE("the power spectrum is that of the sum that defines it") {
  for (const int size : {4, 8, 64, 512}) {
    CAPTURE(size);
    std::vector<double> frame(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = std::sin(0.37 * double(i * i)) + 0.2;
    std::vector<double> power(frame.size() / 2);
    RealFft(size).power_spectrum(frame, power);
    for (std::size_t k = 0; k < power.size(); ++k) {
      std::complex<double> sum = 0;
      for (std::size_t i = 0; i < frame.size(); ++i)
        sum += frame[i] * std::polar(1.0, -2 * std::numbers::pi * double(i * k) / size);
      CHECK(power[k] == Approx(std::norm(sum)).epsilon(1e-9).margin(1e-9));
    }
  }
}
