// A training run on disk: config.json, log.jsonl, checkpoints/step-*, student/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"

namespace retort {

class RunFolder {
 public:
  // Makes the folder, or takes up a run of the same configuration; an Error names what differs from
  // another's. With `overwrite` a run that is there is removed first.
  RunFolder(std::filesystem::path folder, const Json& config, bool overwrite);

  bool finished() const;  // student/ is whole
  std::filesystem::path student() const { return folder_ / "student"; }
  std::filesystem::path checkpoint(int64_t step) const;
  // The newest checkpoint's step, if there is one.
  std::optional<int64_t> newest_checkpoint() const;
  // Removes checkpoints but that of `step`.
  void keep_only_checkpoint(int64_t step) const;

  // Adds a line to log.jsonl.
  void log(const Json& report) const;
  // Drops lines of updates after `step`, which a resumed run will write again.
  void cut_log_after(int64_t step) const;

 private:
  std::filesystem::path log_path() const { return folder_ / "log.jsonl"; }

  std::filesystem::path folder_;
};

}  // namespace retort
