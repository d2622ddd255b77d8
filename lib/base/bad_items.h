// Utterances that cannot be used: named, skipped, counted, and in the end judged.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace retort {

class BadItems {
 public:
  // `subsystem` speaks in the log; `max_share` is --max-bad, the share of all items that may be bad.
  BadItems(std::string subsystem, double max_share)
      : subsystem_(std::move(subsystem)), max_share_(max_share) {}

  // Warns about one item by name and counts its reason ("truncated", "too-short").
  void add(std::string_view id, std::string_view reason, std::string_view message);

  std::size_t count() const { return count_; }
  const std::map<std::string, std::size_t>& reasons() const { return reasons_; }

  // Logs "N of M" and throws an Error if nothing is left of `total` items or more than the allowed share was
  // bad.
  void judge(std::size_t total) const;

 private:
  std::string subsystem_;
  double max_share_;
  std::size_t count_ = 0;
  std::map<std::string, std::size_t> reasons_;
};

}  // namespace retort
