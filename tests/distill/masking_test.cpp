#include "distill/masking.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "base/error.h"

using namespace retort;

namespace {

std::size_t masked_count(const std::vector<uint8_t>& mask) {
  return static_cast<std::size_t>(std::accumulate(mask.begin(), mask.end(), 0));
}

}  // namespace

TEST_CASE("all rows mask as many frames, none of them padding") {
  Random random(1);
  const std::vector<int64_t> frames = {99, 300, 40, 781};
  for (int repeat = 0; repeat < 50; ++repeat) {
    const auto masks = span_masks(frames, MaskingOptions(), random);
    REQUIRE(masks.size() == frames.size());
    for (std::size_t row = 0; row < frames.size(); ++row) {
      REQUIRE(masks[row].size() == 781);
      CHECK(masked_count(masks[row]) == masked_count(masks[0]));
      CHECK(
          std::all_of(masks[row].begin() + frames[row], masks[row].end(), [](uint8_t m) { return m == 0; }));
    }
  }
}

TEST_CASE("the masked share is that of fairseq") {
  // Simulated with fairseq's algorithm: .573, .568 and .567 of 99, 300 and 781 frames at probability .8.
  for (const auto& [frames, share] : {std::pair<int64_t, double>{99, 0.573}, {300, 0.568}, {781, 0.567}}) {
    Random random(7);
    double masked = 0;
    constexpr int repeats = 3000;
    for (int repeat = 0; repeat < repeats; ++repeat)
      masked += static_cast<double>(masked_count(span_masks({frames}, MaskingOptions(), random)[0]));
    CHECK(masked / repeats / static_cast<double>(frames) == Approx(share).margin(0.006));
  }
}

TEST_CASE("a lone utterance is masked in whole spans") {
  Random random(3);
  for (int repeat = 0; repeat < 100; ++repeat) {
    const auto mask = span_masks({200}, MaskingOptions(), random)[0];
    std::size_t run = 0;
    for (std::size_t frame = 0; frame <= mask.size(); ++frame) {
      if (frame < mask.size() && mask[frame]) {
        ++run;
        continue;
      }
      CHECK((run == 0 || run >= 10));
      run = 0;
    }
  }
}

TEST_CASE("at least two spans, and always a frame that is seen") {
  Random random(5);
  MaskingOptions rare;
  rare.probability = 0;
  for (int64_t frames = 25; frames < 60; ++frames) {
    const auto mask = span_masks({frames}, rare, random)[0];
    CHECK(masked_count(mask) >= 2);
    CHECK(masked_count(mask) < static_cast<std::size_t>(frames));
  }
  // Where the spans leave nothing to see, there is nothing to predict from.
  CHECK_THROWS_AS(span_masks({2}, rare, random), Error);
  MaskingOptions dense;
  dense.probability = 1;
  dense.min_spans = 8;
  int refused = 0;
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::size_t masked = 0;
    try {
      masked = masked_count(span_masks({11}, dense, random)[0]);
    } catch (const Error&) {
      ++refused;
    }
    CHECK(masked < 11);
  }
  CHECK(refused > 0);
}
