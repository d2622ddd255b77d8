// Which part of a job a process does: part I of N, counted from 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace retort {

struct Shard {
  int index = 0;
  int count = 1;

  bool operator==(const Shard&) const = default;
  // "part-00003-of-00128", the stem of the part's files.
  std::string stem() const;
};

// Reads "I/N" with 0 <= I < N, or "auto": RETORT_SHARD=I/N; else a Slurm job array's SLURM_ARRAY_TASK_ID,
// _COUNT, _MIN and _MAX, where ids with gaps need RETORT_ARRAY, the list that sbatch --array was given (the
// shard is then the rank of the id in it); 0/1 outside of one.
Shard parse_shard(const std::string& text);

// "3,7,9-12" of numbers in order, as sbatch --array takes them.
std::string number_ranges(const std::vector<int>& numbers);

// The half-open range of items.
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

// The contiguous items of a shard, so that every shard has about the same total weight. The ranges of all
// shards tile [0, weights.size()) in order; some are empty where there are more shards than items.
Range shard_range(const std::vector<std::int64_t>& weights, const Shard& shard);

}  // namespace retort
