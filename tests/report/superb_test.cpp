#include "report/superb.h"

#include <catch2/catch.hpp>

using namespace retort;

namespace {

Score score_of(const std::string& protocol, const std::string& metric, double value) {
  Score score;
  score.task = "task";
  score.model = "student";
  score.hash = "h1";
  score.protocol = protocol;
  score.metrics = {{metric, value}};
  return score;
}

}  // namespace

TEST_CASE("results of SUPERB-style protocols stand above the published rows, one row per model and data") {
  Score profile = score_of("profile-2", "parameters.backbone", 280000);
  profile.task = "profile";
  const Table table = table_of_superb(
      {score_of("asterisk-pr-1", "per", 0.1234), profile, score_of("asterisk-asr-1", "wer", 0.5),
       score_of("asterisk-qbe-1", "mtwv", 0.31), score_of("superb-style-sid-2", "accuracy", 0.75)});
  REQUIRE(table.rows.size() == 2 + 15);
  CHECK(table.head.size() == 13);
  for (const auto& row : table.rows) CHECK(row.size() == table.head.size());
  const std::vector<std::string> first{"student", "asterisk", "0.28", "-", "-", "12.34", "50.00",
                                       "-",       "0.3100",   "-",    "-", "-", "-"};
  CHECK(table.rows[0] == first);
  CHECK(table.rows[1][1] == "superb-style");
  CHECK(table.rows[1][10] == "75.00");
  CHECK(table.rows[3][0] == "HuBERT Base");
  CHECK(table.rows[3][5] == "5.41");
}

TEST_CASE("other protocols, and results without the task's metric, make no row") {
  CHECK(table_of_superb({score_of("probe-1", "accuracy", 1), score_of("units-1", "pnmi", 1)}).rows.empty());
  CHECK(table_of_superb({score_of("asterisk-pr-1", "wer", 1)}).rows.empty());
  CHECK(table_of_superb({score_of("asterisk-sdx-1", "der", 1)}).rows.empty());
}
