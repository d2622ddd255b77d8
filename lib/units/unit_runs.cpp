#include "units/unit_runs.h"

namespace retort {

UnitRuns runs_of_one(std::span<const int32_t> labels) {
  return {{labels.begin(), labels.end()}, std::vector<int32_t>(labels.size(), 1)};
}

UnitRuns merged_runs(std::span<const int32_t> labels) {
  UnitRuns runs;
  for (const int32_t label : labels) {
    if (runs.units.empty() || runs.units.back() != label) {
      runs.units.push_back(label);
      runs.durations.push_back(0);
    }
    ++runs.durations.back();
  }
  return runs;
}

std::vector<int32_t> frame_labels(const UnitRuns& runs) {
  std::vector<int32_t> labels;
  for (std::size_t i = 0; i < runs.units.size(); ++i)
    labels.insert(labels.end(), static_cast<std::size_t>(runs.durations[i]), runs.units[i]);
  return labels;
}

}  // namespace retort
