// Work spread over threads, with results in order.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace retort {

// How many threads a machine (or the share of it that this process may use) runs at once.
int available_threads();

// Calls body(i) for every i in [0, count) from up to `threads` threads. The first exception is rethrown.
void parallel_for(std::size_t count, int threads, const std::function<void(std::size_t)>& body);

// Makes items 0, 1, 2 ... ahead of their use on background threads and hands them out in order. At most
// `window` items are made and not yet taken (window and threads count as 1 below 1). An exception thrown by
// `make` comes out of next() in its item's turn.
template <class T>
class Prefetcher {
 public:
  Prefetcher(std::size_t count, int threads, std::size_t window, std::function<T(std::size_t)> make)
      : count_(count), window_(std::max<std::size_t>(window, 1)), make_(std::move(make)) {
    for (int i = 0; i < std::max(threads, 1); ++i) workers_.emplace_back([this] { work(); });
  }

  ~Prefetcher() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  bool done() const { return taken_ == count_; }

  // The next item; must not be called once done().
  T next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ready_.contains(taken_); });
    std::future<T> item = std::move(ready_.at(taken_));
    ready_.erase(taken_);
    ++taken_;
    lock.unlock();
    changed_.notify_all();
    return item.get();
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || started_ == count_ || started_ < taken_ + window_; });
      if (stopping_ || started_ == count_) return;
      const std::size_t item = started_++;
      lock.unlock();
      std::packaged_task<T()> task([this, item] { return make_(item); });
      std::future<T> result = task.get_future();
      task();
      lock.lock();
      ready_.emplace(item, std::move(result));
      lock.unlock();
      changed_.notify_all();
    }
  }

  const std::size_t count_;
  const std::size_t window_;
  const std::function<T(std::size_t)> make_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, std::future<T>> ready_;
  std::size_t started_ = 0;
  std::size_t taken_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace retort
