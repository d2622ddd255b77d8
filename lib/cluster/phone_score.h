// How well the clusters of the frames that were trained on tell phones apart.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "kmeans/kmeans.h"
#include "measures/alignments.h"

namespace retort {

class PhoneScore {
 public:
  // Reads the CTM file `alignments`. `utterances`: ids and samples at 16 kHz of the audio that the frames are
  // of, `hop` samples apart. An Error where none of them is aligned, or one to more audio than it has.
  PhoneScore(const std::string& alignments, const std::vector<std::pair<std::string, int64_t>>& utterances,
             int hop);

  // The measures of retort-evaluate units, and the counts behind them, of the frames that the labels of
  // `result` belong to, those of all processes. Silence is left out.
  Json of(const FrameSource& frames, const KmeansResult& result, const Processes& processes) const;

 private:
  Alignments alignments_;
  int hop_;
};

}  // namespace retort
