// The log of a training run, read as curves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace retort {

struct Point {
  int64_t step = 0;
  double value = 0;
};

// What the reports of a run say of one quantity, in their order; reports without it have no point.
struct Curve {
  std::string key;  // as in the log, "masked.loss" for a number within an object
  std::vector<Point> points;
};

struct TrainingLog {
  std::vector<Curve> curves;  // in the order in which their keys first appear
  int64_t last_step = 0;
};

// Reads log.jsonl: an object per line, with "step" and numbers that are named directly or one object deep.
// Whatever is no number (a text, a list, null where a value was not finite) is passed over. A last line
// without newline that is no JSON is of a run that is still writing, and passed over too. An Error names file
// and line of any other line that cannot be read; a log without a report is an Error as well.
TrainingLog read_training_log(const std::filesystem::path& path);

// What logs of the same training, seeds of it say, have in common.
struct LogBand {
  TrainingLog low, mean, high;  // the same curves with the same steps, lowest to highest
};

// Of the quantities that all logs report, at the steps at which all do; a step reported twice counts as it
// was the last time. An Error where no quantity is left.
LogBand band_of(const std::vector<TrainingLog>& logs);

}  // namespace retort
