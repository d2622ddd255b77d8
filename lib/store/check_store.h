// Whether a frame store is whole, and which of its parts must be made again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace retort {

struct StoreCheck {
  // One line each, which names the part (and utterance) that is missing, cut, altered, exchanged, doubled or
  // of another run; empty when the store is sound.
  std::vector<std::string> problems;
  // Shards whose jobs, run again with --overwrite, mend the store; in order.
  std::vector<int> repair;
  int parts = 0;  // that the store has when it is whole

  bool sound() const { return problems.empty(); }
};

// Reads every byte of a store and compares with the sidecars. Where parts are of several runs, the run of
// most of them is taken for the store's.
StoreCheck check_frame_store(const std::filesystem::path& folder);

}  // namespace retort
