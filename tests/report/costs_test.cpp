#include "report/costs.h"

#include <catch2/catch.hpp>

using namespace retort;

namespace {

Score score_of(const std::string& task, const std::string& hash,
               const std::vector<std::pair<std::string, double>>& metrics) {
  Score score;
  score.task = task;
  score.model = "model " + hash;
  score.hash = hash;
  score.metrics = metrics;
  return score;
}

Score profile_of(const std::string& hash, double parameters, double speed) {
  return score_of("profile", hash,
                  {{"parameters.backbone", parameters},
                   {"speed.precision f32, threads 1, batch 1.times_real_time", speed},
                   {"speed.precision f32, threads 2, batch 8.times_real_time", 2 * speed}});
}

}  // namespace

TEST_CASE("a model's best score stands over what it costs") {
  const auto charts =
      cost_charts({profile_of("a", 1e6, 30), profile_of("b", 2e6, 20),
                   score_of("units", "a", {{"pnmi", 0.3}}), score_of("units", "a", {{"pnmi", 0.4}}),
                   score_of("units", "b", {{"pnmi", 0.5}}), score_of("units", "c", {{"pnmi", 0.6}})});
  REQUIRE(charts.size() == 2);
  CHECK(charts[0].title == "units pnmi over millions of parameters");
  REQUIRE(charts[0].dots.size() == 2);
  CHECK(charts[0].dots[0].name == "model a");
  CHECK(charts[0].dots[0].x == 1);
  CHECK(charts[0].dots[0].y == 0.4);
  CHECK(charts[1].title == "units pnmi over times real time, one thread");
  CHECK(charts[1].dots[1].x == 20);
}

TEST_CASE("of errors the least is the best, and a teacher's scores are its own") {
  const auto errors = [](const std::string& hash, double value) {
    return score_of("intrinsic", hash,
                    {{"layers.of model, layer enc1.abx.within", value},
                     {"layers.of model, layer enc2.abx.within", value - 0.05},
                     {"layers.of teacher, layer enc3.abx.within", 0.01}});
  };
  const auto charts =
      cost_charts({profile_of("a", 1e6, 30), profile_of("b", 2e6, 20), errors("a", 0.2), errors("b", 0.15)});
  REQUIRE(charts.size() == 2);
  CHECK(charts[0].title == "intrinsic abx.within (less is better) over millions of parameters");
  CHECK(charts[0].dots[0].y == Approx(0.15));
  CHECK(charts[0].dots[1].y == Approx(0.10));
}

TEST_CASE("one model makes no chart") {
  CHECK(cost_charts({profile_of("a", 1e6, 30), score_of("units", "a", {{"pnmi", 0.3}})}).empty());
}
