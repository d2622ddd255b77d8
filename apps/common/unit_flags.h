// The options that every program which writes units shares.
#pragma once

#include "common/tool.h"
#include "units/unit_text.h"

namespace retort {

inline void bind_unit_form(Tool& tool, UnitForm& form) {
  tool.flag("--dedup", form.dedup, "Write runs of the same label once");
  tool.flag("--durations", form.durations, "With --dedup, as UNIT:FRAMES in text: how long each run lasts");
  tool.flag("--times", form.times,
            "In seconds, where each label lies: text as CTM lines, start and end in JSONL");
}

}  // namespace retort
