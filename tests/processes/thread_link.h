// Threads in the place of processes.
#pragma once

#include <barrier>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "processes/processes.h"

namespace retort {

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

}  // namespace retort
