#include "base/thread_team.h"

#include <algorithm>
#include <utility>

namespace retort {

ThreadTeam::ThreadTeam(int threads) {
  for (int i = 1; i < threads; ++i) members_.emplace_back([this] { serve(); });
}

ThreadTeam::~ThreadTeam() {
  stopping_ = true;
  ++round_;
  round_.notify_all();
  for (std::thread& member : members_) member.join();
}

void ThreadTeam::run(std::size_t count, const std::function<void(std::size_t)>& body) {
  body_ = &body;
  count_ = count;
  next_ = 0;
  const bool alone = count < 2 || members_.empty();
  if (!alone) {
    busy_ = members_.size();
    ++round_;
    round_.notify_all();
  }
  work();
  if (!alone)
    for (std::size_t busy; (busy = busy_) > 0;) busy_.wait(busy);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadTeam::serve() {
  for (std::uint32_t seen = 0;;) {
    round_.wait(seen);
    seen = round_;
    if (stopping_) return;
    work();
    if (--busy_ == 0) busy_.notify_one();
  }
}

void ThreadTeam::work() {
  for (std::size_t item; (item = next_++) < count_;) {
    try {
      (*body_)(item);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = count_;
    }
  }
}

}  // namespace retort
