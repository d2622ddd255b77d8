#include "report/lineage.h"

#include <catch2/catch.hpp>

using namespace retort;

namespace {

Run run_of(const std::string& name, const std::string& student, const Json& config) {
  Run run;
  run.name = name;
  run.student = student;
  run.config = config;
  return run;
}

}  // namespace

TEST_CASE("a student descends from its teacher and from what made the teacher's labels") {
  const Run teacher = run_of(
      "teacher", "1111111122222222",
      {{"teacher", ""},
       {"corpus", "cccccccccccc"},
       {"labels",
        {{"hash", "99999999aa"}, {"clusters", 100}, {"origin", {{"model", "mfcc-39"}, {"layer", "mfcc"}}}}}});
  const Run student = run_of(
      "student", "", {{"teacher", "1111111122222222"}, {"corpus", ""}, {"init_from", "1111111122222222"}});
  Run reference;
  reference.name = "old";
  const Table table = table_of_lineage({teacher, student, reference});
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0] == std::vector<std::string>{"mfcc-39 > teacher", "11111111", "K 100 of mfcc, 99999999",
                                                  "cccccccc", "-"});
  CHECK(table.rows[1] == std::vector<std::string>{"mfcc-39 > teacher > student", "-", "-", "-", "11111111"});
}

TEST_CASE("a run without a known parent stands alone, and a circle ends") {
  const Run lone = run_of("lone", "aa", {{"corpus", "c"}});
  CHECK(table_of_lineage({lone}).rows[0][0] == "lone");
  CHECK(table_of_lineage({run_of("old", "aa", Json::object())}).rows.empty());
  const Run unknown = run_of("run", "aa", {{"teacher", "0123456789abcdef"}});
  CHECK(table_of_lineage({unknown}).rows[0][0] == "01234567 > run");
  const Run circle = run_of("own", "aa", {{"teacher", "aa"}});
  CHECK(table_of_lineage({circle}).rows[0][0] == "own > own");
}
