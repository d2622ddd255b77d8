// Threads that stay, for loops that are too short to start threads for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace retort {

class ThreadTeam {
 public:
  // Counts the thread that calls run().
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const { return static_cast<int>(members_.size()) + 1; }

  // Calls body(i) for every i in [0, count), each once, and returns when all are done. The first exception is
  // rethrown. From one thread at a time, and not from within `body`.
  void run(std::size_t count, const std::function<void(std::size_t)>& body);

 private:
  void serve();
  void work();

  const std::function<void(std::size_t)>* body_ = nullptr;
  std::size_t count_ = 0;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> busy_{0};     // members that have not finished the round
  std::atomic<std::uint32_t> round_{0};  // counts calls of run()
  std::atomic<bool> stopping_{false};
  std::exception_ptr failure_;
  std::mutex failure_mutex_;
  std::vector<std::thread> members_;
};

}  // namespace retort
