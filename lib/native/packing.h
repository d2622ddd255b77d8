// Utterances one after the other in one matrix, with nothing between them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "base/thread_team.h"
#include "native/linear.h"

namespace retort {

// Where each utterance's rows are.
class Packing {
 public:
  explicit Packing(const std::vector<int64_t>& lengths) {
    for (const int64_t length : lengths) begins_.push_back(begins_.back() + length);
  }
  std::size_t utterances() const { return begins_.size() - 1; }
  int64_t rows() const { return begins_.back(); }
  int64_t begin(std::size_t utterance) const { return begins_[utterance]; }
  int64_t length(std::size_t utterance) const { return begins_[utterance + 1] - begins_[utterance]; }
  int64_t longest() const {
    int64_t longest = 0;
    for (std::size_t u = 0; u < utterances(); ++u) longest = std::max(longest, length(u));
    return longest;
  }

 private:
  std::vector<int64_t> begins_{0};
};

// Memory of one forward that the next one takes over: pages that the system has to clear cost as much time
// as what is computed in them.
class RowMemory {
 public:
  // At least so many values, of any content.
  std::vector<float> take(size_t values);
  void give_back(std::vector<float> memory);

 private:
  std::mutex mutex_;
  std::vector<std::vector<float>> free_;
};

// Rows of all utterances, `width` values each; not zeroed.
class PackedRows {
 public:
  PackedRows() = default;
  PackedRows(RowMemory& memory, int64_t rows, int64_t width)
      : memory_(&memory),
        width_(width),
        count_(rows),
        values_(memory.take(static_cast<size_t>(rows * width))) {}
  ~PackedRows() { release(); }
  PackedRows(PackedRows&& other) noexcept { *this = std::move(other); }
  PackedRows& operator=(PackedRows&& other) noexcept {
    release();
    memory_ = std::exchange(other.memory_, nullptr);
    width_ = std::exchange(other.width_, 0);
    count_ = std::exchange(other.count_, 0);
    values_ = std::move(other.values_);
    return *this;
  }

  RowSpan all() { return {values_.data(), width_, count_}; }
  RowSpan rows(int64_t first, int64_t some) { return all().rows(first, some); }
  int64_t width() const { return width_; }
  int64_t count() const { return count_; }

 private:
  void release() {
    if (memory_) std::exchange(memory_, nullptr)->give_back(std::move(values_));
  }

  RowMemory* memory_ = nullptr;
  int64_t width_ = 0;
  int64_t count_ = 0;
  std::vector<float> values_;
};

// With what a network computes.
struct Compute {
  CpuPath path;
  NetworkPrecision precision;
  ThreadTeam& team;
  RowMemory& memory;

  // Calls body(first, count) for runs of `rows` rows. Short ones where there are few, so that no thread is
  // without.
  template <class Body>
  void for_each_run(int64_t rows, const Body& body) const {
    constexpr int64_t most = 64;  // what a product keeps in the caches
    constexpr int64_t least = 8;  // what its kernels take at once
    const int64_t share = rows / (int64_t{2} * team.threads()) / least * least;
    const int64_t length = std::clamp(share, least, most);
    team.run(static_cast<size_t>((rows + length - 1) / length), [&](std::size_t run) {
      const int64_t first = static_cast<int64_t>(run) * length;
      body(first, std::min(length, rows - first));
    });
  }
};

}  // namespace retort
