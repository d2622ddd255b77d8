#include "encoder/length_buckets.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

using namespace retort;

namespace {

using Buckets = std::vector<std::vector<std::size_t>>;

int64_t padded_size(const std::vector<std::size_t>& bucket, const std::vector<int64_t>& lengths) {
  int64_t longest = 0;
  for (const std::size_t item : bucket) longest = std::max(longest, lengths[item]);
  return longest * static_cast<int64_t>(bucket.size());
}

int64_t cost(const Buckets& buckets, const std::vector<int64_t>& lengths, const BucketLimits& limits) {
  int64_t all = 0;
  for (const auto& bucket : buckets) all += padded_size(bucket, lengths) + limits.overhead;
  return all;
}

// Of all ways to cut the sorted lengths, bit by bit.
int64_t least_cost(std::vector<int64_t> lengths, const BucketLimits& limits) {
  std::sort(lengths.begin(), lengths.end());
  const std::size_t gaps = lengths.size() - 1;
  int64_t least = INT64_MAX;
  for (unsigned cuts = 0; cuts < 1u << gaps; ++cuts) {
    Buckets buckets(1);
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      buckets.back().push_back(i);
      if (i < gaps && (cuts >> i & 1) != 0) buckets.emplace_back();
    }
    const bool fits = std::all_of(buckets.begin(), buckets.end(), [&](const auto& bucket) {
      return bucket.size() == 1 || padded_size(bucket, lengths) <= limits.padded;
    });
    if (fits) least = std::min(least, cost(buckets, lengths, limits));
  }
  return least;
}

// Seconds of read speech at 16 kHz, most of it as long as a breath group may be, as in LibriSpeech.
std::vector<int64_t> like_librispeech(double seconds, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> lengths;
  while (std::accumulate(lengths.begin(), lengths.end(), 0.0) < seconds * 16000) {
    const bool is_short = random() % 4 == 0;
    const uint32_t least = is_short ? 24000 : 176000, most = is_short ? 176000 : 264000;
    lengths.push_back(static_cast<int64_t>(least + random() % (most - least)));
  }
  return lengths;
}

}  // namespace

TEST_CASE("every utterance is in one bucket, and no bucket is too large", "[encoder]") {
  const std::vector<int64_t> lengths = {5, 900, 7, 7, 40, 38, 1, 400, 39};
  const BucketLimits limits{120, 10};
  std::vector<std::size_t> seen;
  int64_t before = 0;
  for (const auto& bucket : length_buckets(lengths, limits)) {
    CHECK((bucket.size() == 1 || padded_size(bucket, lengths) <= limits.padded));
    for (const std::size_t item : bucket) {
      CHECK(lengths[item] >= before);
      before = lengths[item];
      seen.push_back(item);
    }
  }
  std::sort(seen.begin(), seen.end());
  std::vector<std::size_t> all(lengths.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  CHECK(seen == all);
  CHECK(length_buckets({}, limits).empty());
}

TEST_CASE("no other buckets cost less", "[encoder]") {
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    std::vector<int64_t> lengths(10);
    for (int64_t& length : lengths) length = static_cast<int64_t>(1 + random() % 100);
    const BucketLimits limits{static_cast<int64_t>(50 + random() % 400), static_cast<int64_t>(random() % 60)};
    CHECK(cost(length_buckets(lengths, limits), lengths, limits) == least_cost(lengths, limits));
  }
}

TEST_CASE("of speech in windows as the GPU engine reads it a few percent are padding", "[encoder]") {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const std::vector<int64_t> lengths = like_librispeech(2560, seed);
    const auto real = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
    const Buckets buckets = length_buckets(lengths, {320 * 16000, 8 * 16000});
    const auto padded = static_cast<double>(cost(buckets, lengths, {0, 0}));
    CHECK(padded < 1.04 * real);
    CHECK(buckets.size() < 20);
  }
}
