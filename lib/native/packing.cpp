#include "native/packing.h"

namespace retort {

// The smallest that is large enough; else the largest, which grows.
std::vector<float> RowMemory::take(size_t values) {
  const auto order = [values](const std::vector<float>& a, const std::vector<float>& b) {
    const bool fits_a = a.size() >= values;
    const bool fits_b = b.size() >= values;
    if (fits_a != fits_b) return fits_a;
    return fits_a ? a.size() < b.size() : a.size() > b.size();
  };
  const std::lock_guard lock(mutex_);
  const auto best = std::min_element(free_.begin(), free_.end(), order);
  std::vector<float> memory;
  if (best != free_.end()) {
    memory = std::move(*best);
    free_.erase(best);
  }
  if (memory.size() < values) memory = std::vector<float>(values);
  return memory;
}

void RowMemory::give_back(std::vector<float> memory) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(memory));
}

}  // namespace retort
