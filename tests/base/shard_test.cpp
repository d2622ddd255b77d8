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

namespace {

// Variables of the environment that are there as long as this is.
class Variables {
 public:
  Variables(std::initializer_list<std::pair<const char*, const char*>> variables) : variables_(variables) {
    for (const auto& [name, value] : variables_) setenv(name, value, 1);
  }
  ~Variables() {
    for (const auto& [name, value] : variables_) unsetenv(name);
  }

 private:
  std::vector<std::pair<const char*, const char*>> variables_;
};

constexpr const char* task_id = "SLURM_ARRAY_TASK_ID";
constexpr const char* task_count = "SLURM_ARRAY_TASK_COUNT";
constexpr const char* task_min = "SLURM_ARRAY_TASK_MIN";
constexpr const char* task_max = "SLURM_ARRAY_TASK_MAX";

}  // namespace

TEST_CASE("auto takes the shard from a job array, also one that does not begin at 0") {
  CHECK(parse_shard("auto") == Shard{0, 1});
  {
    const Variables array{{task_id, "7"}, {task_count, "4"}, {task_min, "5"}, {task_max, "8"}};
    CHECK(parse_shard("auto") == Shard{2, 4});
  }
  const Variables array{{task_id, "7"}, {task_count, "4"}};
  CHECK_THROWS_AS(parse_shard("auto"), Error);
}

TEST_CASE("of ids with gaps the shard is the rank in the list") {
  const Variables array{{task_id, "9"}, {task_count, "5"}, {task_min, "1"}, {task_max, "13"}};
  CHECK_THROWS_WITH(parse_shard("auto"), Catch::Contains("have gaps"));
  {
    const Variables list{{"RETORT_ARRAY", "1,5,9-13:2%1"}};
    CHECK(parse_shard("auto") == Shard{2, 5});
  }
  for (const char* wrong : {"1,5,9", "0-4", "", "1,,5", "5-1", "1-9:0", "a", "1,5,9-13:2:1", "9-999999999"}) {
    CAPTURE(wrong);
    const Variables list{{"RETORT_ARRAY", wrong}};
    CHECK_THROWS_WITH(parse_shard("auto"), Catch::Contains("RETORT_ARRAY="));
  }
}

TEST_CASE("numbers are written as ranges") {
  CHECK(number_ranges({}).empty());
  CHECK(number_ranges({7}) == "7");
  CHECK(number_ranges({0, 1, 3, 7, 8, 9}) == "0-1,3,7-9");
}

TEST_CASE("RETORT_SHARD goes before what an array says") {
  const Variables array{{task_id, "7"}, {task_count, "2"}, {task_min, "7"}, {task_max, "8"}};
  {
    const Variables shard{{"RETORT_SHARD", "7/200"}};
    CHECK(parse_shard("auto") == Shard{7, 200});
    CHECK(parse_shard("1/3") == Shard{1, 3});
  }
  const Variables shard{{"RETORT_SHARD", "7"}};
  CHECK_THROWS_WITH(parse_shard("auto"), Catch::Contains("RETORT_SHARD=7"));
}
