// A training run on disk: config.json, log.jsonl, checkpoints/step-*, student/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace retort {

class RunFolder {
 public:
  // Makes the folder, or takes up a run of the same configuration; an Error names what differs from
  // another's. With `overwrite` a run that is there is removed first. Holds the folder for this process
  // alone.
  RunFolder(std::filesystem::path folder, const Json& config, bool overwrite);
  // Reads the run of another process that trains the same student; that one writes.
  explicit RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool finished() const;  // student/ is whole
  std::filesystem::path student() const { return folder_ / "student"; }
  std::filesystem::path best() const { return folder_ / "best"; }  // by validation loss
  std::filesystem::path checkpoint(int64_t step) const;
  // The newest checkpoint's step, if there is one.
  std::optional<int64_t> newest_checkpoint() const;
  // Removes checkpoints but the newest `count`.
  void keep_newest_checkpoints(int64_t count) const;

  // Adds a line to log.jsonl.
  void log(const Json& report) const;
  // Drops lines of updates after `step`, which a resumed run will write again.
  void cut_log_after(int64_t step) const;
  // The least validation loss in the log.
  std::optional<double> best_validation() const;
  // The file that says what made update `step` impossible.
  std::filesystem::path failure(int64_t step) const;

 private:
  std::filesystem::path log_path() const { return folder_ / "log.jsonl"; }
  std::vector<int64_t> checkpoint_steps() const;  // from the oldest on

  std::filesystem::path folder_;
  std::optional<AtomicFile> lock_;  // never committed: its temporary name is what a second run cannot have
};

}  // namespace retort
