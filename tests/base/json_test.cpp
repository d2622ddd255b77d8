#include "base/json.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/files.h"

using namespace retort;

TEST_CASE("JSON is written indented, in the order of its keys, and read back") {
  const TemporaryFolder folder;
  const Json value = {{"z", 1}, {"a", {1.5, true, nullptr}}};
  write_json(folder.path() / "file.json", value);
  CHECK(read_file(folder.path() / "file.json") ==
        "{\n  \"z\": 1,\n  \"a\": [\n    1.5,\n    true,\n    null\n  ]\n}\n");
  CHECK(read_json(folder.path() / "file.json") == value);
}

TEST_CASE("what JSON cannot hold is refused before anything is written") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file.json";
  for (const double wrong :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()})
    CHECK_THROWS_WITH(write_json(path, {{"curve", {1.0, wrong}}}),
                      Catch::Contains("curve") && Catch::Contains("finite"));
  CHECK_THROWS_WITH(write_json(path, {{"text", "\xff"}}), Catch::Contains("UTF-8"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("text that is not JSON is an Error with its origin") {
  CHECK_THROWS_WITH(parse_json("{\"a\": }", "here"), "here: not JSON (byte 7)");
  CHECK_THROWS_WITH(parse_json("", "here"), Catch::Contains("here: not JSON"));
  CHECK_THROWS_WITH(parse_json("{} {}", "here"), Catch::Contains("here: not JSON"));
  CHECK_THROWS_AS(parse_json("[1e999]", "here"), Error);
}

TEST_CASE("values are taken with their type or not at all") {
  const Json object = {{"whole", 300}, {"negative", -1}, {"half", 0.5},
                       {"yes", true},  {"text", "a"},    {"none", nullptr}};
  CHECK(json_get<int>(object, "whole", "here") == 300);
  CHECK(json_get<double>(object, "whole", "here") == 300.0);
  CHECK(json_get<bool>(object, "yes", "here"));
  CHECK(json_get<std::string>(object, "text", "here") == "a");
  CHECK_THROWS_WITH(json_get<int>(object, "missing", "here"), "here: no \"missing\" in it");
  CHECK_THROWS_WITH(json_get<int>(object, "half", "here"), Catch::Contains("here: \"half\" is 0.5"));
  CHECK_THROWS_AS(json_get<int>(object, "yes", "here"), Error);
  CHECK_THROWS_AS(json_get<double>(object, "yes", "here"), Error);
  CHECK_THROWS_AS(json_get<int>(object, "text", "here"), Error);
  CHECK_THROWS_AS(json_get<std::string>(object, "whole", "here"), Error);
  CHECK_THROWS_AS(json_get<uint64_t>(object, "negative", "here"), Error);
  CHECK_THROWS_AS(json_get<uint8_t>(object, "whole", "here"), Error);
  CHECK(json_get_or<int>(object, "missing", 7, "here") == 7);
  CHECK(json_get_or<int>(object, "none", 7, "here") == 7);
  CHECK_THROWS_AS(json_get_or<int>(object, "text", 7, "here"), Error);
}

TEST_CASE("an unknown key is named together with the known ones") {
  CHECK_NOTHROW(refuse_unknown_keys({{"a", 1}}, {"a", "b"}, "here"));
  CHECK_THROWS_WITH(refuse_unknown_keys({{"a", 1}, {"c", 1}}, {"a", "b"}, "here"),
                    "here: unknown key \"c\" (known: a, b)");
}

TEST_CASE("the first difference names its path and both values") {
  CHECK(first_difference({{"a", 1}, {"b", 2}}, {{"b", 2}, {"a", 1}}).empty());
  CHECK(first_difference({{"a", {{"b", 1}}}}, {{"a", {{"b", 2}}}}) == "a b 1 against 2");
  CHECK(first_difference({{"a", 1}}, Json::object()) == "a 1 against none");
  CHECK(first_difference(Json::object(), {{"a", 1}}) == "a none against 1");
}

TEST_CASE("lists of numbers are held to the type of their elements") {
  const Json json = parse_json(
      R"({"good":[1,-2],"large":[1,1e30],"broken":[1.5],"flag":[true],"deep":[[1],[2.5]],"one":1})", "x");
  CHECK(json_get<std::vector<int>>(json, "good", "x") == std::vector<int>{1, -2});
  CHECK(json_get<std::vector<double>>(json, "broken", "x") == std::vector<double>{1.5});
  for (const char* key : {"large", "broken", "flag", "one"})
    CHECK_THROWS_WITH(json_get<std::vector<int>>(json, key, "x"),
                      Catch::Contains("not of the type it should have"));
  CHECK_THROWS_AS(json_get<std::vector<uint64_t>>(json, "good", "x"), Error);
  CHECK_THROWS_AS(json_get<std::vector<std::vector<int>>>(json, "deep", "x"), Error);
}
