// What processes tell each other, with threads in their place.
#include "processes/processes.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "thread_link.h"

using namespace retort;

TEST_CASE("every process gets every text and the leader's value") {
  const std::vector<std::string> texts = {"first", "", std::string("b\0\xff", 3), "last"};
  std::vector<std::vector<std::string>> got(texts.size());
  std::vector<double> values(texts.size());
  in_processes(4, [&](const Processes& processes) {
    const auto own = static_cast<std::size_t>(processes.rank());
    got[own] = processes.exchange(texts[own]);
    values[own] = processes.of_leader(7.5 + processes.rank());
    processes.wait_for_all();
  });
  for (const auto& each : got) CHECK(each == texts);
  CHECK(values == std::vector<double>(4, 7.5));
}

TEST_CASE("processes that may use the same cores divide them") {
  const int whole = default_threads(Processes());
  std::vector<int> shares(2);
  in_processes(2, [&](const Processes& processes) {
    shares[static_cast<std::size_t>(processes.rank())] = default_threads(processes);
  });
  CHECK(shares == std::vector<int>(2, std::max(whole / 2, 1)));
}

TEST_CASE("one process gets back what it gives") {
  const Processes alone;
  std::vector<double> values = {1, 2};
  alone.sum(values);
  CHECK(values == std::vector<double>{1, 2});
  CHECK(alone.exchange("text") == std::vector<std::string>{"text"});
  CHECK(alone.leads());
}
