#include "base/thread_team.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "base/error.h"

using namespace retort;

TEST_CASE("a team calls the body once for every item, round after round") {
  for (const int threads : {1, 2, 5}) {
    ThreadTeam team(threads);
    CHECK(team.threads() == threads);
    for (const std::size_t count : {0, 1, 2, 7, 1000}) {
      for (int round = 0; round < 20; ++round) {
        std::vector<int> calls(count);
        team.run(count, [&](std::size_t i) { ++calls[i]; });
        REQUIRE(calls == std::vector<int>(count, 1));
      }
    }
  }
}

TEST_CASE("an error in a team's round is thrown, and the team goes on") {
  ThreadTeam team(3);
  CHECK_THROWS_WITH(team.run(100,
                             [](std::size_t i) {
                               if (i == 42) fail("item 42");
                             }),
                    "item 42");
  std::atomic<int> calls{0};
  team.run(50, [&](std::size_t) { ++calls; });
  CHECK(calls == 50);
}
