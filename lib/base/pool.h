// Objects that threads take turns with, such as memory to work in.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace retort {

// Holds as many as were ever in use at once.
template <class T>
class Pool {
 public:
  explicit Pool(std::function<std::unique_ptr<T>()> make) : make_(std::move(make)) {}

  // Calls body(T&) with one that no other thread has; it may be one that was used before. One whose body
  // throws is not used again.
  template <class Body>
  void use(const Body& body) {
    std::unique_ptr<T> one = take();
    body(*one);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(one));
  }

  // Drops all; none may be in use.
  void clear() { idle_.clear(); }

 private:
  std::unique_ptr<T> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<T> one = std::move(idle_.back());
        idle_.pop_back();
        return one;
      }
    }
    return make_();
  }

  const std::function<std::unique_ptr<T>()> make_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace retort
