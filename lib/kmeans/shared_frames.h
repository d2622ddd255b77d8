// A job's frames where several processes share them: each goes over a part of them, and what a pass learns
// is added up (shared_passes.h). One process alone has them all.
#pragma once

#include <cstdint>
#include <vector>

#include "kmeans/kmeans.h"
#include "processes/processes.h"

namespace retort {

struct SharedFrames {
  // Of one process alone. Implicit: what takes shared frames takes a source as well. Keeps a reference.
  SharedFrames(const FrameSource& source);  // NOLINT(google-explicit-constructor)
  // Keeps references.
  SharedFrames(const FrameSource& all_frames, const FrameSource& own_frames, int64_t first_of_own,
               const Processes& those)
      : all(all_frames), own(own_frames), first(first_of_own), processes(those) {}

  const FrameSource& all;  // any row may be read, but few are
  const FrameSource& own;  // those of `all` from `first` on that this process goes over
  int64_t first = 0;
  const Processes& processes;
};

// The rows [first, first + count) of `frames` that fall to this process.
struct FrameRange {
  int64_t first;
  int64_t count;
};
FrameRange own_range(int64_t frames, const Processes& processes);

// Every process's numbers one after the other, by rank; as every method of Processes, called by all at the
// same point.
std::vector<int64_t> joined(const Processes& processes, const std::vector<int64_t>& own);

}  // namespace retort
