#include "report/tables.h"

#include <catch2/catch.hpp>

#include "report/page.h"

using namespace retort;

namespace {

Run made_run(const std::string& name, std::vector<Curve> curves) {
  Run run;
  run.name = name;
  run.log.last_step = curves.front().points.back().step;
  run.log.curves = std::move(curves);
  run.config = {
      {"recipe",
       {{"name", "r"}, {"student", {{"layers", 3}, {"hidden", 96}}}, {"schedule", {{"steps", 9}}}}}};
  return run;
}

Run made_reference(const std::string& name) {
  Run run = made_run(name, {{"lr", {{2, 0.5}}}});
  run.config = nullptr;
  return run;
}

Score score_of(const std::string& name, std::vector<std::pair<std::string, double>> metrics) {
  Score score;
  score.name = name;
  score.task = "units";
  score.model = std::string(1, 'm');
  score.metrics = std::move(metrics);
  score.n = 7;
  return score;
}

}  // namespace

TEST_CASE("a table of runs says what their configurations do") {
  Run bare = made_run("bare", {{"lr", {{4, 1.0}}}});
  bare.config = {{"recipe", "text"}};
  const Table table = table_of_runs({made_run("full", {{"lr", {{5, 1.0}}}}), bare, made_reference("ref")});
  CHECK(as_text(table) ==
        "Runs\n"
        "run   recipe  student  state         step  of\n"
        "full  r       3 x 96   not finished     5   9\n"
        "bare  -       -        not finished     4   -\n");
}

TEST_CASE("last values stand in a column per run, a dash where there is none") {
  const Table table = table_of_last_values(
      {made_run("a", {{"lr", {{1, 1.0}, {2, 0.25}}}, {"x.loss", {{2, 3.0}}}}), made_reference("ref")});
  CHECK(as_text(table) ==
        "Last values\n"
        "quantity     a  ref (reference)\n"
        "x.loss       3                -\n"
        "lr        0.25              0.5\n");
}

TEST_CASE("scores of a task stand in rows, or in columns where there are many metrics") {
  const auto narrow = tables_of_scores({score_of("a", {{"pnmi", 0.5}}), score_of("b", {{"purity", 0.25}})});
  REQUIRE(narrow.size() == 1);
  CHECK(as_text(narrow[0]) ==
        "units\n"
        "result  model  layer  pnmi  purity  n\n"
        "a       m      -       0.5       -  7\n"
        "b       m      -         -    0.25  7\n");
  std::vector<std::pair<std::string, double>> many;
  for (int i = 0; i < 20; ++i) many.emplace_back(fmt::format("m{}", i), i);
  const Table wide = tables_of_scores({score_of("a", many)})[0];
  CHECK(wide.head == std::vector<std::string>{"result", "a"});
  REQUIRE(wide.rows.size() == 23);
  CHECK(wide.rows[2 + 20] == std::vector<std::string>{"n", "7"});
  CHECK(wide.rows[2 + 19] == std::vector<std::string>{"m19", "19"});
}

TEST_CASE("columns are aligned by characters, not bytes") {
  CHECK(as_text({"t", {"n", "v"}, {{"\xc3\xb6", "1"}, {"ab", "2"}}, 1}) == "t\nn   v\n\xc3\xb6   1\nab  2\n");
}

TEST_CASE("the JSON has runs, references and scores") {
  const Json json = as_json({{made_run("a", {{"lr", {{1, 1.0}, {2, 0.25}}}}), made_reference("ref")},
                             {score_of("s", {{"pnmi", 0.5}})}});
  CHECK(json["runs"][0]["name"] == "a");
  CHECK(json["runs"][0]["steps"] == 9);
  CHECK(json["runs"][0]["last"] == Json{{"lr", 0.25}});
  CHECK(json["references"][0]["last"] == Json{{"lr", 0.5}});
  CHECK(json["scores"][0]["metrics"] == Json{{"pnmi", 0.5}});
}

TEST_CASE("a page takes nothing from elsewhere and lets no name through as markup") {
  Run run = made_run("<b>run</b>", {{"<i>.loss", {{1, 1.0}, {2, 0.25}}}});
  run.config["note"] = "</pre><script>";
  const std::string page = report_page({{run, made_reference("<u>ref")}, {score_of("<s>", {{"<em>", 0.5}})}});
  for (const char* markup :
       {"<b>", "<i>", "<u>", "<s>", "<em>", "<script", "http", "url(", "@import", "src="})
    CHECK(page.find(markup) == std::string::npos);
  for (const char* shown : {"&lt;b&gt;run", "&lt;i&gt;.loss", "&lt;u&gt;ref", "&lt;s&gt;", "&lt;em&gt;"})
    CHECK(page.find(shown) != std::string::npos);
}

TEST_CASE("a page of results alone has no section of runs") {
  const std::string page = report_page({{}, {score_of("s", {{"pnmi", 0.5}})}});
  CHECK(page.find("<h2>Runs</h2>") == std::string::npos);
  CHECK(page.find("<h2>Curves</h2>") == std::string::npos);
  CHECK(page.find("<h2>Evaluations</h2>") != std::string::npos);
}
