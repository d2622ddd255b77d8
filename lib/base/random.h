// Random numbers that are the same on every machine and standard library: a stateless seed per purpose, and
// draws of our own, since the results of std:: distributions are not specified.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <utility>
#include <vector>

namespace retort {

// Mixes numbers into one seed (splitmix64), so that draw number n of a job needs no state from draw n - 1.
inline uint64_t mix_seed(std::initializer_list<uint64_t> parts) {
  uint64_t state = 0x9e3779b97f4a7c15;
  for (const uint64_t part : parts) {
    state ^= part + 0x9e3779b97f4a7c15;
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
    state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
    state ^= state >> 31;
  }
  return state;
}

// 64 random bits as a number in [0, 1), by the first 53 of them.
inline double uniform_of(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // In [0, 1).
  double uniform() { return uniform_of(engine_()); }
  // In [0, count), each as likely as the other to 2^-64 * count; count must not be 0.
  uint64_t below(uint64_t count) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(engine_()) * count) >> 64);
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  // `count` different numbers of [0, total), in random order. Memory and time grow with total.
  std::vector<int64_t> choose(int64_t total, int64_t count) {
    std::vector<int64_t> all(static_cast<std::size_t>(total));
    for (int64_t i = 0; i < total; ++i) all[static_cast<std::size_t>(i)] = i;
    for (int64_t i = 0; i < count; ++i)
      std::swap(all[static_cast<std::size_t>(i)],
                all[static_cast<std::size_t>(i) + below(static_cast<uint64_t>(total - i))]);
    all.resize(static_cast<std::size_t>(count));
    return all;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace retort
