// Task "score": hypotheses of any system against references.
#pragma once

#include <string>
#include <vector>

#include "evaluate/result.h"

namespace retort {

struct ScoreOptions {
  ResultOptions result;
  std::string metric;          // one of score_metrics()
  std::string references;      // lines "id text" (wer, cer, slots), RTTM (der), trials (eer)
  std::string hypotheses;      // lines "id text", RTTM, "id id score"
  bool partial = false;        // score what both have, where ids are missing on one side
  double collar = 0;           // of der: seconds on each side of a reference boundary that are not scored
  bool skip_overlap = false;   // of der
  double target_prior = 0.01;  // of eer: for the detection cost beside it
};

// wer (also phones: any tokens between blanks), cer, slots, der, eer.
const std::vector<std::string>& score_metrics();

// Returns the line for standard output; a partial score says so in it.
std::string run_score(const ScoreOptions& options);

}  // namespace retort
