#include "report/training_log.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

namespace {

struct LogFile {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "log.jsonl";

  TrainingLog read(const std::string& text) const {
    std::ofstream(path) << text;
    return read_training_log(path);
  }
};

const Curve& curve(const TrainingLog& log, const std::string& key) {
  for (const Curve& one : log.curves)
    if (one.key == key) return one;
  throw std::out_of_range(key);
}

}  // namespace

TEST_CASE("a band holds what all logs report, from the lowest to the highest") {
  const LogFile file;
  const TrainingLog one =
      file.read("{\"step\":1,\"a\":1,\"b\":9}\n{\"step\":2,\"a\":4}\n{\"step\":3,\"a\":5}\n");
  const TrainingLog two =
      file.read("{\"step\":1,\"a\":8}\n{\"step\":1,\"a\":2}\n{\"step\":3,\"a\":-1,\"c\":1}\n");
  const LogBand band = band_of({one, two});
  REQUIRE(band.mean.curves.size() == 1);
  const auto values = [](const TrainingLog& log) {
    std::vector<std::pair<int64_t, double>> points;
    for (const Point& point : curve(log, "a").points) points.emplace_back(point.step, point.value);
    return points;
  };
  using Points = std::vector<std::pair<int64_t, double>>;
  CHECK(values(band.low) == Points{{1, 1}, {3, -1}});
  CHECK(values(band.mean) == Points{{1, 1.5}, {3, 2}});
  CHECK(values(band.high) == Points{{1, 2}, {3, 5}});
  CHECK(band.mean.last_step == 3);
  const TrainingLog apart = file.read("{\"step\":7,\"a\":1}\n");
  CHECK_THROWS_WITH(band_of({one, apart}), Catch::Contains("the 2 logs report no quantity at the same step"));
}

TEST_CASE("every number of a log is a curve, wherever a line has it") {
  const LogFile file;
  const TrainingLog log = file.read(
      "{\"step\":10,\"lr\":0.5,\"masked\":{\"loss\":4,\"deeper\":{\"x\":1}},\"note\":\"text\",\"on\":true}\n"
      "{\"step\":20,\"lr\":null,\"masked\":{\"loss\":3.5}}\n"
      "{\"step\":20,\"validation\":{\"loss\":7}}\n");
  CHECK(log.last_step == 20);
  REQUIRE(log.curves.size() == 3);
  CHECK(log.curves[0].key == "lr");
  CHECK(curve(log, "lr").points.size() == 1);
  REQUIRE(curve(log, "masked.loss").points.size() == 2);
  CHECK(curve(log, "masked.loss").points[1].step == 20);
  CHECK(curve(log, "masked.loss").points[1].value == 3.5);
  CHECK(curve(log, "validation.loss").points[0].value == 7);
}

TEST_CASE("a last line that is half written is no error") {
  const LogFile file;
  const std::string whole = "{\"step\":10,\"lr\":0.5}\n";
  const std::string next = "{\"step\":20,\"lr\":0.25}";
  for (std::size_t written = 0; written < next.size(); ++written)
    CHECK(file.read(whole + next.substr(0, written)).last_step == 10);
  CHECK(file.read(whole + next).last_step == 20);  // whole but for its newline
}

TEST_CASE("a line that cannot be read is named") {
  const LogFile file;
  const std::string name = file.path.string();
  const std::string good = "{\"step\":1,\"a\":1}\n";
  CHECK_THROWS_WITH(file.read(good + "{\"step\":2,\n" + good),
                    Catch::Contains(name + ":2: is no JSON object"));
  CHECK_THROWS_WITH(file.read(good + "[1]\n"), Catch::Contains(name + ":2: is no JSON object"));
  CHECK_THROWS_WITH(file.read(good + "\n" + good), Catch::Contains(name + ":2: is no JSON object"));
  CHECK_THROWS_WITH(file.read("{\"a\":1}\n"), Catch::Contains(name + ":1: no \"step\" in it"));
  CHECK_THROWS_WITH(file.read("{\"step\":\"x\"}\n"), Catch::Contains(name + ":1: \"step\""));
  CHECK_THROWS_WITH(file.read("{\"step\":1,\"a\":1e999}\n"), Catch::Contains(name + ":1: is no JSON object"));
}

TEST_CASE("a log without a report is an error") {
  const LogFile file;
  CHECK_THROWS_WITH(file.read(""), Catch::Contains("holds no report yet"));
  CHECK_THROWS_WITH(file.read("{\"step\":"), Catch::Contains("holds no report yet"));
  CHECK_THROWS_WITH(file.read("{\"step\":1}\n"), Catch::Contains("holds no report yet"));
}
