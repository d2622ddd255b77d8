#include "distill/batches.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "base/error.h"
#include "base/random.h"

using namespace retort;

namespace {

constexpr int64_t hop = 320;

std::vector<int64_t> some_lengths(std::size_t count) {
  Random random(11);
  std::vector<int64_t> lengths;
  for (std::size_t i = 0; i < count; ++i)
    lengths.push_back(32000 + static_cast<int64_t>(random.below(400000)));
  return lengths;
}

BatchOptions options(double seconds, double micro_seconds) {
  BatchOptions batch;
  batch.seconds = seconds;
  batch.micro_seconds = micro_seconds;
  return batch;
}

}  // namespace

TEST_CASE("an epoch sees every utterance once") {
  const auto lengths = some_lengths(500);
  const BatchPlan plan(lengths, options(120, 40), hop, 3);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<std::size_t> seen;
    std::size_t count = 0;
    for (int64_t step = 0; step < plan.batches_per_epoch(); ++step)
      for (const MicroBatch& micro : plan.batch(epoch * plan.batches_per_epoch() + step))
        for (const Crop& crop : micro.crops) {
          seen.insert(crop.utterance);
          ++count;
        }
    CHECK(seen.size() == lengths.size());
    CHECK(count == lengths.size());
  }
}

TEST_CASE("batches keep to their seconds, crops to their utterance and to the frame grid") {
  const auto lengths = some_lengths(300);
  const BatchOptions batch = options(200, 50);
  const BatchPlan plan(lengths, batch, hop, 4);
  for (int64_t step = 0; step < 2 * plan.batches_per_epoch(); ++step) {
    int64_t samples = 0;
    for (const MicroBatch& micro : plan.batch(step)) {
      samples += micro.samples * static_cast<int64_t>(micro.crops.size());
      CHECK(micro.samples <= static_cast<int64_t>(batch.max_seconds * 16000));
      CHECK(micro.samples * static_cast<int64_t>(micro.crops.size()) <= static_cast<int64_t>(50 * 16000));
      for (const Crop& crop : micro.crops) {
        CHECK(crop.first_frame >= 0);
        CHECK(crop.samples == micro.samples);
        CHECK(crop.first_frame * hop + crop.samples <= lengths[crop.utterance]);
      }
    }
    CHECK(samples <= 200 * 16000);
  }
}

TEST_CASE("processes that share an update each get a part of the same crops") {
  const auto lengths = some_lengths(300);
  const BatchPlan whole(lengths, options(200, 50), hop, 4),
      divided(lengths, divide_among(options(200, 50), 8), hop, 4);
  const auto crops_of = [](const Batch& batch) {
    std::vector<int64_t> crops;
    for (const MicroBatch& micro : batch)
      for (const Crop& crop : micro.crops)
        crops.insert(crops.end(), {static_cast<int64_t>(crop.utterance), crop.first_frame, crop.samples});
    return crops;
  };
  for (int64_t step = 0; step < whole.batches_per_epoch(); ++step) {
    const Batch batch = divided.batch(step);
    CHECK(crops_of(batch) == crops_of(whole.batch(step)));
    int64_t samples = 0;
    for (const MicroBatch& micro : batch) samples += micro.samples * static_cast<int64_t>(micro.crops.size());
    const bool full = samples > 180 * 16000;  // only an epoch's last batch may be less
    CHECK((!full || batch.size() >= 8));
  }
  // Where there is enough for all, masks and dropout, which are drawn per micro batch, stay as they are.
  CHECK(divide_among(options(200, 50), 4).micro_seconds == 50);
}

TEST_CASE("a step's batch follows from the seed alone, in any order of asking") {
  const auto lengths = some_lengths(200);
  const BatchPlan plan(lengths, options(100, 100), hop, 9), same(lengths, options(100, 100), hop, 9),
      other(lengths, options(100, 100), hop, 10);
  const auto ids = [](const Batch& batch) {
    std::vector<std::pair<std::size_t, int64_t>> crops;
    for (const MicroBatch& micro : batch)
      for (const Crop& crop : micro.crops) crops.emplace_back(crop.utterance, crop.first_frame);
    return crops;
  };
  std::size_t different = 0;
  for (int64_t step = 40; step >= 0; --step) {
    CHECK(ids(plan.batch(step)) == ids(same.batch(step)));
    different += ids(plan.batch(step)) != ids(other.batch(step));
  }
  CHECK(different > 30);
}

TEST_CASE("padded batches keep whole utterances and to the same seconds") {
  const auto lengths = some_lengths(300);
  BatchOptions batch = options(200, 50);
  batch.pad = true;
  const BatchPlan plan(lengths, batch, hop, 4);
  const auto longest = static_cast<int64_t>(batch.max_seconds * 16000);
  for (int64_t step = 0; step < plan.batches_per_epoch(); ++step) {
    int64_t samples = 0;
    for (const MicroBatch& micro : plan.batch(step)) {
      CHECK(micro.samples * static_cast<int64_t>(micro.crops.size()) <= static_cast<int64_t>(50 * 16000));
      int64_t widest = 0;
      for (const Crop& crop : micro.crops) {
        CHECK(crop.samples == std::min(lengths[crop.utterance], longest));
        CHECK(crop.first_frame * hop + crop.samples <= lengths[crop.utterance]);
        widest = std::max(widest, crop.samples);
        samples += crop.samples;
      }
      CHECK(micro.samples == widest);
    }
    CHECK(samples <= 200 * 16000);
  }
}

TEST_CASE("validation sees the beginning of every utterance once") {
  const auto lengths = some_lengths(100);
  const BatchOptions batch = options(200, 50);
  std::set<std::size_t> seen;
  for (const MicroBatch& micro : validation_batches(lengths, batch)) {
    CHECK(micro.samples * static_cast<int64_t>(micro.crops.size()) <= static_cast<int64_t>(50 * 16000));
    for (const Crop& crop : micro.crops) {
      CHECK(crop.first_frame == 0);
      CHECK(crop.samples ==
            std::min(lengths[crop.utterance], static_cast<int64_t>(batch.max_seconds * 16000)));
      CHECK(seen.insert(crop.utterance).second);
    }
  }
  CHECK(seen.size() == lengths.size());
}

TEST_CASE("a training set without utterances is refused") {
  CHECK_THROWS_AS(BatchPlan({}, BatchOptions(), hop, 0), Error);
}
