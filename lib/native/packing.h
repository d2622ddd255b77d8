// Utterances one after the other in one matrix, with nothing between them.
#pragma once

#include <algorithm>
#include <cstdint>
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

// Rows of all utterances, `width` values each.
class PackedRows {
 public:
  PackedRows() = default;
  PackedRows(int64_t rows, int64_t width)
      : width_(width), count_(rows), values_(static_cast<size_t>(rows * width)) {}
  RowSpan all() { return {values_.data(), width_, count_}; }
  RowSpan rows(int64_t first, int64_t some) { return all().rows(first, some); }
  int64_t width() const { return width_; }
  int64_t count() const { return count_; }

 private:
  int64_t width_ = 0;
  int64_t count_ = 0;
  std::vector<float> values_;
};

// With what a network computes.
struct Compute {
  CpuPath path;
  NetworkPrecision precision;
  ThreadTeam& team;

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
