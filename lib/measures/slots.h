// Slots in transcripts, "play B-artist nina simone E-artist": which kinds are found, and how well they are
// spelt.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "measures/transcripts.h"

namespace retort {

// Values by kind of slot, in order. A slot that does not end is none; of nested slots the outer one counts,
// without the marks within.
using Slots = std::map<std::string, std::vector<std::string>>;
Slots slots_of(std::string_view text);

struct SlotScore {
  double type_f1_sum = 0;  // of the utterances' F1 over kinds of slots; 1 where neither side has a slot
  int64_t utterances = 0;
  Edits value_edits;  // characters of each reference slot against the best hypothesis of its kind, or nothing

  double type_f1() const { return type_f1_sum / static_cast<double>(utterances); }
};

// As s3prl's slot_type_f1 and slot_value_cer (s3prl metric/slot_filling.py) define them. An Error where no
// reference has a slot.
SlotScore score_slots(const Transcripts& references, const Transcripts& hypotheses,
                      const std::vector<std::string>& ids);

}  // namespace retort
