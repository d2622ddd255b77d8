#include "units/unit_text.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/error.h"

namespace retort {
namespace {

const UnitRuns runs{{7, 12, 7}, {2, 1, 3}};

TEST_CASE("frames in a row with the same label make one run") {
  const std::vector<int32_t> labels{7, 7, 12, 7, 7, 7};
  CHECK(merged_runs(labels) == runs);
  CHECK(frame_labels(runs) == labels);
  CHECK(runs_of_one(labels) == UnitRuns{labels, {1, 1, 1, 1, 1, 1}});
  CHECK(merged_runs({}) == UnitRuns{});
}

TEST_CASE("any labels come back from their runs and from every text of them") {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<int32_t> labels(random() % 20);
    for (int32_t& label : labels) label = static_cast<int32_t>(random() % 3);
    const UnitRuns merged = merged_runs(labels);
    CHECK(frame_labels(merged) == labels);
    CHECK(parse_units(units_text(merged, true), "here") == merged);
    CHECK(frame_labels(parse_units(units_text(runs_of_one(labels), false), "here")) == labels);
    CHECK(parse_units_json(units_json("a", merged, {true}, 0), "here").runs == merged);
    CHECK(frame_labels(parse_units_json(units_json("a", runs_of_one(labels), {}, 0), "here").runs) == labels);
  }
}

TEST_CASE("what the lines look like") {
  CHECK(units_text(runs, false) == "7 12 7");
  CHECK(units_text(runs, true) == "7:2 12:1 7:3");
  CHECK(units_json("a \"b\"", runs, {}, 320) == "{\"id\":\"a \\\"b\\\"\",\"units\":[7,12,7]}\n");
  CHECK(units_json("a", runs, {true, false, true}, 320) ==
        "{\"id\":\"a\",\"units\":[7,12,7],\"durations\":[2,1,3],\"start\":[0.0,0.04,0.06],"
        "\"end\":[0.04,0.06,0.12]}\n");
  CHECK(units_ctm("a", runs, 320) == "a 1 0.00 0.04 7\na 1 0.04 0.02 12\na 1 0.06 0.06 7\n");
  CHECK(units_ctm("a", {}, 320).empty());
}

TEST_CASE("times have as many decimals as the hop needs") {
  CHECK(units_ctm("a", {{5, 6}, {1, 1}}, 160) == "a 1 0.00 0.01 5\na 1 0.01 0.01 6\n");
  CHECK(units_ctm("a", {{5, 6}, {1, 1}}, 200) == "a 1 0.0000 0.0125 5\na 1 0.0125 0.0125 6\n");
  CHECK(units_ctm("a", {{5, 6}, {3, 1}}, 1) == "a 1 0.0000000 0.0001875 5\na 1 0.0001875 0.0000625 6\n");
}

TEST_CASE("what is no list of units is refused with its place") {
  for (const char* text : {"x", "1 x", "-1", "1,2", "1:", "1:0", "1:-2", ":3", "1 :3", "1:2:3", "99999999999",
                           "1:99999999999", "1.5", "1\t2"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_units(text, "f.txt:3"), "f.txt:3: is no list of labels");
  }
  CHECK(parse_units("  4  5:2 ", "here") == UnitRuns{{4, 5}, {1, 2}});
  for (const char* line :
       {"[1]", "{}", R"({"id":"a"})", R"({"id":"a","units":3})", R"({"id":"a","units":[1.5]})",
        R"({"id":"a","units":[-1]})", R"({"id":"a","units":[1],"durations":[0]})",
        R"({"id":"a","units":[1],"durations":[1,2]})", R"({"id":"a","units":[1])"}) {
    CAPTURE(line);
    CHECK_THROWS_AS(parse_units_json(line, "f.jsonl:3"), Error);
  }
  CHECK_THROWS_AS(units_ctm("a b", runs, 320), Error);
  CHECK_THROWS_AS(units_json("\xff", runs, {}, 320), Error);
}

}  // namespace
}  // namespace retort
