// A result: one JSON file per evaluation, saying what was measured on what, with raw counts
// (docs/tools/retort-evaluate.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"

namespace retort {

// Where a task's result goes; part of every task's options.
struct ResultOptions {
  std::string output;      // the result's .json
  bool overwrite = false;  // replace a result of another job
};

// One result file on its way. The clock runs from construction to write().
class ResultFile {
 public:
  explicit ResultFile(ResultOptions options) : options_(std::move(options)) {}

  // `job` says everything that shapes the numbers: task, protocol, model, hashes of inputs, options. Returns
  // the result where it is there already, made by the same job; throws an Error naming the difference if
  // another job made it.
  std::optional<Json> begin(Json job);

  // Writes job, `rest` (metrics, counts, ...) and the seconds since construction; returns the whole.
  Json write(const Json& rest) const;

 private:
  ResultOptions options_;
  Json job_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace retort
