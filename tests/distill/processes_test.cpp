// What processes tell each other, with threads in their place.
#include "distill/processes.h"

#include <barrier>
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

using namespace retort;

namespace {

struct Meeting {
  explicit Meeting(int count) : all(count) {}
  std::barrier<> all;
  std::mutex mutex;
  std::vector<double> total;
};

class ThreadLink : public ProcessLink {
 public:
  explicit ThreadLink(Meeting& meeting) : meeting_(meeting) {}
  void sum(const at::Tensor&) override {}
  void sum(std::vector<double>& values) override {
    {
      std::lock_guard lock(meeting_.mutex);
      meeting_.total.resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) meeting_.total[i] += values[i];
    }
    meeting_.all.arrive_and_wait();
    values = meeting_.total;
    meeting_.all.arrive_and_wait();
    meeting_.total.clear();
    meeting_.all.arrive_and_wait();
  }

 private:
  Meeting& meeting_;
};

// Runs body(processes) for each of `count` at once.
template <class Body>
void in_processes(int count, const Body& body) {
  Meeting meeting(count);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&meeting, &body, rank, count] {
      ProcessEnvironment place;
      place.rank = rank;
      place.count = count;
      body(Processes(place, std::make_unique<ThreadLink>(meeting)));
    });
}

}  // namespace

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
