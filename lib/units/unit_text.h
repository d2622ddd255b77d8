// Units of an utterance as lines that people and their scripts read: text, JSONL and CTM (docs/formats.md).
#pragma once

#include <string>
#include <string_view>

#include "units/unit_runs.h"

namespace retort {

// What is written of runs besides their units.
struct UnitForm {
  bool dedup = false;      // frames with the same unit in a row make one run; else each frame is one
  bool durations = false;  // the frames of each run
  bool times = false;      // where each run lies, in seconds
};

// "7 7 12", or with durations in frames "7:2 12:1". Without a newline.
std::string units_text(const UnitRuns& runs, bool durations);

// The inverse of both. What is neither is an Error that names `where`.
UnitRuns parse_units(std::string_view text, const std::string& where);

// An object with its newline: {"id", "units"}, with `dedup` also "durations" in frames, with `times` also
// "start" and "end" in seconds. A frame begins every `hop` samples at 16 kHz and ends where the next one
// begins.
std::string units_json(const std::string& id, const UnitRuns& runs, const UnitForm& form, int hop);

struct IdentifiedUnits {
  std::string id;
  UnitRuns runs;
};

// Reads "id", "units" and, where they are there, "durations" of such a line; each unit is one frame where
// they are not.
IdentifiedUnits parse_units_json(std::string_view line, const std::string& where);

// A line "id 1 start duration unit" for each run, in seconds as above, which are exact.
std::string units_ctm(const std::string& id, const UnitRuns& runs, int hop);

}  // namespace retort
