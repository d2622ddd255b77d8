#include "base/shard.h"

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace retort;

TEST_CASE("shards tile the items in order, whatever their number") {
  const std::vector<int64_t> weights = {5, 1, 1, 9, 0, 4, 4, 30, 2};
  for (int count = 1; count <= 20; ++count) {
    std::size_t next = 0;
    for (int index = 0; index < count; ++index) {
      const Range range = shard_range(weights, {index, count});
      CHECK(range.begin == next);
      CHECK(range.end >= range.begin);
      next = range.end;
    }
    CHECK(next == weights.size());
  }
}

TEST_CASE("shards of equal items are balanced") {
  const std::vector<int64_t> weights(700, 3);
  for (int index = 0; index < 7; ++index) CHECK(shard_range(weights, {index, 7}).size() == 100);
}

TEST_CASE("a shard is read from I/N") {
  CHECK(parse_shard("0/1") == Shard{0, 1});
  CHECK(parse_shard("3/128") == Shard{3, 128});
  CHECK(parse_shard("3/128").stem().find("part-00003-of-00128") == 0);
  for (const char* wrong : {"", "1", "1/1", "-1/2", "2/2", "a/2", "1/2x", "1/100000", "0/0"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_shard(wrong), Error);
  }
}

TEST_CASE("auto takes the shard from a job array, also one that does not begin at 0") {
  setenv("SLURM_ARRAY_TASK_ID", "7", 1);
  setenv("SLURM_ARRAY_TASK_COUNT", "4", 1);
  setenv("SLURM_ARRAY_TASK_MIN", "5", 1);
  CHECK(parse_shard("auto") == Shard{2, 4});
  unsetenv("SLURM_ARRAY_TASK_MIN");
  CHECK_THROWS_AS(parse_shard("auto"), Error);
  unsetenv("SLURM_ARRAY_TASK_ID");
  unsetenv("SLURM_ARRAY_TASK_COUNT");
  CHECK(parse_shard("auto") == Shard{0, 1});
}
