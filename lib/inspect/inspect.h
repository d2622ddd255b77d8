// What an artifact is, whether it is whole, and what it was made from.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace retort {

struct InspectOptions {
  std::string path;
  bool cpu = false;          // this machine's CPU instead: which kernels run on it
  bool json = false;         // one JSON object instead of text
  bool check = false;        // read every byte and hold it against what the artifact says of itself
  bool lineage = false;      // what it was made from
  bool repair_list = false;  // of a frame store: only the shards whose jobs mend it
};

// One object: "kind" and what there is to say; with `check` also "problems", with `lineage` also "made_from".
Json describe_artifact(const InspectOptions& options);

// What of this CPU the kernels use: the paths that it has, the one that runs (RETORT_ISA chooses another),
// and the precisions that models can be computed in.
Json describe_cpu();

// The text for standard output. Throws after `print` was called where a check found problems.
void run_inspect(const InspectOptions& options, const std::function<void(const std::string&)>& print);

}  // namespace retort
