#include "report/sources.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/files.h"

using namespace retort;

namespace {

// A place to make runs and results in.
struct Work {
  TemporaryFolder folder;

  std::string path(const std::string& name) const { return (folder.path() / name).string(); }

  void write(const std::string& name, const std::string& text) const {
    make_folder((folder.path() / name).parent_path());
    std::ofstream(path(name)) << text;
  }
  void make_run(const std::string& name, const std::string& student = "") const {
    write(name + "/config.json", R"({"format":"retort-run-1","recipe":{"name":"r"}})");
    write(name + "/log.jsonl", "{\"step\":1,\"lr\":1}\n");
    if (student.empty()) return;
    write(name + "/student/config.json", "{}");
    write(name + "/student/retort.json", R"({"hash":")" + student + "\"}");
  }
};

const std::string hash = "0123456789abcdef0123456789abcdef";

}  // namespace

TEST_CASE("names are as short as tells paths apart") {
  using Names = std::vector<std::string>;
  CHECK(distinct_names({"/exp/a/run", "/exp/b/run", "/exp/c/other"}) == Names{"a/run", "b/run", "other"});
  CHECK(distinct_names({"/x/a/run", "/y/a/run", "/b/run"}) == Names{"x/a/run", "y/a/run", "b/run"});
  CHECK(distinct_names({"/run", "/a/run"}) == Names{"run", "a/run"});
  CHECK(distinct_names({"/a/run", "/a/run"}) == Names{"a/run", "a/run"});  // nothing tells them apart
  CHECK(distinct_names({}).empty());
}

TEST_CASE("a folder is searched for runs and results, and named once or twice gives the same") {
  const Work work;
  work.make_run("exp/one", hash);
  work.make_run("exp/deep/two");
  work.write("exp/scores/one/units.json",
             R"({"task":"units","model":")" + hash +
                 R"(","inputs":{"layer":"enc3"},"metrics":{"pnmi":0.5},"counts":{"frames":7,"phones":3}})");
  work.write("exp/scores/two/units.json", R"({"task":"units","metrics":{}})");
  work.write("exp/scores/probe.json",
             R"({"task":"probe","model":"mfcc-39","layers":"enc0,enc1","metrics":{"accuracy":1},)"
             R"("counts":{"train":4,"test":2}})");
  work.write("exp/part.json", R"({"kind":"labels"})");
  work.write("exp/broken.json", "{");
  const Sources once = read_sources({work.path("exp")}, {});
  const Sources twice =
      read_sources({work.path("exp/"), work.path("exp/one"), work.path("./exp/scores/probe.json")}, {});
  for (const Sources& sources : {once, twice}) {
    REQUIRE(sources.runs.size() == 2);
    CHECK(sources.runs[0].name == "two");
    CHECK_FALSE(sources.runs[0].finished);
    CHECK(sources.runs[1].name == "one");
    CHECK(sources.runs[1].finished);
    REQUIRE(sources.scores.size() == 3);
    CHECK(sources.scores[0].name == "one");
    CHECK(sources.scores[0].model == "one");
    CHECK(sources.scores[0].layer == "enc3");
    CHECK(sources.scores[0].n == 7);
    CHECK(sources.scores[2].name == "two");
    CHECK(sources.scores[2].model.empty());
    CHECK(sources.scores[2].n == 0);
    CHECK(sources.scores[1].name == "probe");
    CHECK(sources.scores[1].model == "mfcc-39");
    CHECK(sources.scores[1].layer == "enc0,enc1");
    CHECK(sources.scores[1].n == 2);
  }
}

TEST_CASE("metrics of several models and of lists are named by what they were measured with") {
  const Work work;
  work.write(
      "p.json",
      R"({"task":"profile","metrics":[{"model":")" + hash +
          R"(","bytes":{"f32":4},"speed":[{"precision":"f32","threads":2,"batch":8,"seconds":0.5}]},{"model":"other"}]})");
  const Sources sources = read_sources({work.path("p.json")}, {});
  REQUIRE(sources.scores.size() == 2);
  CHECK(sources.scores[0].name == "p 01234567");
  CHECK(sources.scores[0].metrics ==
        std::vector<std::pair<std::string, double>>{
            {"bytes.f32", 4}, {"speed.precision f32, threads 2, batch 8.seconds", 0.5}});
  CHECK(sources.scores[0].n == 0);
  CHECK(sources.scores[1].model == "other");
}

TEST_CASE("layer weights are means over seeds, by layer") {
  const Work work;
  work.write("p.json", R"({"task":"probe","model":"mfcc-39","layers":"enc0,enc1","metrics":{"a":1},
    "layer_weights":[[0.25,0.75],[0.5,0.5]]})");
  work.write("q.json", R"({"task":"probe","layers":"enc0","metrics":{"a":1},"layer_weights":[[0.25,0.75]]})");
  const Sources sources = read_sources({work.path("p.json"), work.path("q.json")}, {});
  CHECK(sources.scores[0].layer_weights ==
        std::vector<std::pair<std::string, double>>{{"enc0", 0.375}, {"enc1", 0.625}});
  CHECK(sources.scores[0].hash == "mfcc-39");
  CHECK(sources.scores[1].layer_weights.empty());
}

TEST_CASE("metrics nested without end are cut off") {
  const Work work;
  const std::string deep(5000, '[');
  work.write("p.json", R"({"task":"t","metrics":{"a":)" + deep + "1" + std::string(5000, ']') + "}}");
  CHECK(read_sources({work.path("p.json")}, {}).scores[0].metrics.empty());
}

TEST_CASE("references are runs that come last, without a configuration") {
  const Work work;
  work.make_run("exp/student");
  work.write("curves/student.jsonl", "{\"step\":9,\"lr\":2}\n");
  const Sources sources = read_sources(
      {work.path("exp/student")}, {work.path("curves/student.jsonl"), work.path("exp/student/log.jsonl")});
  REQUIRE(sources.runs.size() == 3);
  CHECK(sources.runs[0].name == "student");
  CHECK_FALSE(sources.runs[0].is_reference());
  CHECK(sources.runs[1].name == "curves/student");
  CHECK(sources.runs[1].is_reference());
  CHECK(sources.runs[1].log.last_step == 9);
  CHECK(sources.runs[2].title() == "exp/student (reference)");
}

TEST_CASE("a reference of several logs is a band with their mean") {
  const Work work;
  work.write("curves/a-0.jsonl", "{\"step\":9,\"lr\":2}\n");
  work.write("curves/a-1.jsonl", "{\"step\":9,\"lr\":4}\n");
  work.write("curves/odd,name.jsonl", "{\"step\":9,\"lr\":4}\n");
  const Sources sources =
      read_sources({}, {work.path("curves/a-0.jsonl") + "," + work.path("curves/a-1.jsonl"),
                        work.path("curves/odd,name.jsonl")});
  REQUIRE(sources.runs.size() == 2);
  CHECK(sources.runs[0].title() == "a-0 +1 (reference)");
  CHECK(sources.runs[0].log.curves.at(0).points.at(0).value == 3);
  CHECK(sources.runs[0].low.curves.at(0).points.at(0).value == 2);
  CHECK(sources.runs[0].high.curves.at(0).points.at(0).value == 4);
  CHECK(sources.runs[1].low.curves.empty());
}

TEST_CASE("what is nothing to report is named") {
  const Work work;
  work.write("empty/config.json", R"({"format":"retort-run-1"})");
  work.write("other/config.json", R"({"format":1})");
  work.write("list.json", "[1]");
  CHECK_THROWS_WITH(read_sources({work.path("none")}, {}), Catch::Contains("none: no such file or folder"));
  CHECK_THROWS_WITH(read_sources({work.path("other")}, {}), Catch::Contains("holds neither a run"));
  CHECK_THROWS_WITH(read_sources({work.path("list.json")}, {}), Catch::Contains("is no result"));
  CHECK_THROWS_WITH(read_sources({work.path("empty")}, {}), Catch::Contains("log.jsonl: is not there yet"));
  // A search passes over a run that has not begun.
  CHECK_THROWS_WITH(read_sources({work.folder.path().string()}, {}), Catch::Contains("holds neither a run"));
}
