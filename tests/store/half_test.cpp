#include "store/half.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/random.h"

using namespace retort;

TEST_CASE("every f16 value survives the way through f32") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f32_from_f16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      CHECK((f16_from_f32(value) & 0x7c00) == 0x7c00);
      CHECK((f16_from_f32(value) & 0x3ff) != 0);
    } else {
      REQUIRE(f16_from_f32(value) == bits);
    }
  }
}

TEST_CASE("f16 has IEEE 754's known values") {
  // From numpy 2.3: np.float16(x).view(np.uint16)
  for (const auto& [value, bits] : {std::pair<float, uint16_t>{1.0f, 0x3c00},
                                    {-2.0f, 0xc000},
                                    {65504.0f, 0x7bff},
                                    {65520.0f, 0x7c00},
                                    {65519.0f, 0x7bff},
                                    {6.1035156e-05f, 0x0400},
                                    {5.9604645e-08f, 0x0001},
                                    {2.9802322e-08f, 0x0000},
                                    {2.9802326e-08f, 0x0001},
                                    {0.1f, 0x2e66},
                                    {1.0009766f, 0x3c01},
                                    {1.00048828125f, 0x3c00}}) {
    CAPTURE(value);
    CHECK(f16_from_f32(value) == bits);
  }
}

TEST_CASE("16-bit floats are the nearest ones, ties going to the even one") {
  Random random(5);
  for (int i = 0; i < 200000; ++i) {
    const auto value = static_cast<float>((random.uniform() - 0.5) * std::exp(20 * random.uniform() - 12));
    const uint16_t half = f16_from_f32(value), brain = bf16_from_f32(value);
    const float error = std::abs(f32_from_f16(half) - value);
    REQUIRE(error <= std::abs(f32_from_f16(static_cast<uint16_t>(half + 1)) - value));
    if ((half & 0x7fff) != 0)
      REQUIRE(error <= std::abs(f32_from_f16(static_cast<uint16_t>(half - 1)) - value));
    const float brain_error = std::abs(f32_from_bf16(brain) - value);
    REQUIRE(brain_error <= std::abs(f32_from_bf16(static_cast<uint16_t>(brain + 1)) - value));
  }
  CHECK(bf16_from_f32(std::bit_cast<float>(0x3f808000u)) == 0x3f80);
  CHECK(bf16_from_f32(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(std::isnan(f32_from_bf16(bf16_from_f32(std::numeric_limits<float>::quiet_NaN()))));
}
