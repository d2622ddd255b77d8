// Who speaks when: diarisation error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace retort {

// Samples [begin, end) at 16 kHz in which somebody speaks.
struct SpeakerTurn {
  int64_t begin = 0;
  int64_t end = 0;
  std::string speaker;
};

using SpeakerTurns = std::map<std::string, std::vector<SpeakerTurn>>;  // by recording

// Reads lines "SPEAKER recording channel start duration <NA> <NA> speaker ..." with times in seconds (NIST's
// RTTM); other types of line are skipped. Errors name file and line.
SpeakerTurns read_rttm(const std::filesystem::path& path);
// The same turns as such lines.
std::string rttm_of(const std::string& recording, const std::vector<SpeakerTurn>& turns);

struct DiarisationRule {
  // Samples on each side of a beginning or end of a reference turn that are not scored. (md-eval and dscore
  // give one side too; pyannote.metrics gives the width of both.)
  int64_t collar = 0;
  bool skip_overlap = false;  // leave out where several speakers talk in the reference
};

// Samples, counted once per speaker.
struct DiarisationErrors {
  int64_t speech = 0;  // scored, of the reference
  int64_t missed = 0;
  int64_t false_alarm = 0;
  int64_t confusion = 0;  // given to another speaker, under the best one-to-one pairing of speakers

  int64_t total() const { return missed + false_alarm + confusion; }
  // total / speech. An Error where nothing is spoken.
  double rate() const;
  DiarisationErrors& operator+=(const DiarisationErrors& other);
};

// Of one recording: speakers' names mean nothing from one to the next. Turns of one speaker that overlap
// count once.
DiarisationErrors count_diarisation_errors(const std::vector<SpeakerTurn>& reference_turns,
                                           const std::vector<SpeakerTurn>& hypothesis_turns,
                                           const DiarisationRule& rule);

Json counts_of(const DiarisationErrors& errors);

// The largest sum of weights[row][column] over pairs in which no row and no column occurs twice: the column
// of each row, -1 for none (the Hungarian method). Weights are not negative.
std::vector<int> best_pairing(const std::vector<std::vector<int64_t>>& weights);

}  // namespace retort
