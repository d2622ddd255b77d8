// Detection by a threshold on scores: DET curve, equal error rate, least detection cost, and term-weighted
// value.
#pragma once

#include <cstdint>
#include <vector>

namespace retort {

struct Trial {
  double score = 0;
  bool target = false;
};

// What a threshold gives: trials with a score of at least `threshold` are accepted.
struct DetPoint {
  double threshold = 0;
  double miss = 0;         // share of target trials that are rejected
  double false_alarm = 0;  // share of the others that are accepted
};

// A point per different score, from an infinite threshold (nothing is accepted) down to where all is. An
// Error where there is no target trial, or none that is not, or a score is not a number.
std::vector<DetPoint> det_curve(std::vector<Trial> trials);

// Where misses and false alarms are equal, on straight lines between the points.
double equal_error_rate(const std::vector<DetPoint>& curve);

// NIST's detection cost at the best threshold, over that of accepting or rejecting everything, whichever
// costs less (SRE evaluation plans; both errors cost the same).
double min_detection_cost(const std::vector<DetPoint>& curve, double target_prior);

// Trials of one query, one per document.
using QueryTrials = std::vector<Trial>;

struct TermWeightedValue {
  double value = 0;  // the maximum, at most 1; 0 is what finding nothing gets
  double threshold = 0;
  int64_t queries = 0;          // that occur in some document, and not in all
  int64_t queries_without = 0;  // that do not, and have no value
};

// Maximum over one threshold for all queries of 1 - mean(miss + beta * false alarm) (MediaEval QUESST 2014:
// false alarms cost 1, misses 100, and a term is there with a probability of 0.0008, which makes beta 12.49).
// An Error where no query has a value.
TermWeightedValue max_term_weighted_value(const std::vector<QueryTrials>& queries, double beta);

inline constexpr double quesst_beta = 1.0 / 100 * (1 / 0.0008 - 1);

}  // namespace retort
