// Units: the labels of frames as a language of sounds, in which it counts what comes after what, and how long
// each lasts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace retort {

// The units of an utterance in their order, each with the number of frames that it lasts.
struct UnitRuns {
  std::vector<int32_t> units;
  std::vector<int32_t> durations;  // in frames, at least 1

  bool operator==(const UnitRuns&) const = default;
};

// A run for each frame.
UnitRuns runs_of_one(std::span<const int32_t> labels);

// A run for all neighbouring frames with the same label.
UnitRuns merged_runs(std::span<const int32_t> labels);

// The label of each frame, the inverse of both.
std::vector<int32_t> frame_labels(const UnitRuns& runs);

}  // namespace retort
