#include "measures/detection.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace retort {
namespace {

// A trial's share of its kind: what accepting it takes from the misses or adds to the false alarms.
struct Step {
  double score = 0;
  double miss = 0;
  double false_alarm = 0;
};

int64_t targets_of(const std::vector<Trial>& trials) {
  return std::count_if(trials.begin(), trials.end(), [](const Trial& trial) { return trial.target; });
}

void require_numbers(const std::vector<Trial>& trials) {
  for (const Trial& trial : trials)
    if (std::isnan(trial.score)) fail("a score is not a number");
}

}  // namespace

std::vector<DetPoint> det_curve(std::vector<Trial> trials) {
  require_numbers(trials);
  const int64_t targets = targets_of(trials), others = static_cast<int64_t>(trials.size()) - targets;
  if (targets == 0 || others == 0)
    fail("{} target and {} other trials: detection needs both", targets, others);
  std::sort(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) { return a.score > b.score; });
  std::vector<DetPoint> curve = {{std::numeric_limits<double>::infinity(), 1, 0}};
  int64_t hits = 0, false_alarms = 0;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    ++(trials[i].target ? hits : false_alarms);
    if (i + 1 < trials.size() && trials[i + 1].score == trials[i].score) continue;
    curve.push_back({trials[i].score, 1 - static_cast<double>(hits) / static_cast<double>(targets),
                     static_cast<double>(false_alarms) / static_cast<double>(others)});
  }
  return curve;
}

double equal_error_rate(const std::vector<DetPoint>& curve) {
  const auto after = std::find_if(curve.begin(), curve.end(),
                                  [](const DetPoint& point) { return point.false_alarm >= point.miss; });
  const DetPoint &above = *(after - 1), &below = *after;
  const double before = above.miss - above.false_alarm, beyond = below.false_alarm - below.miss;
  return above.false_alarm + before / (before + beyond) * (below.false_alarm - above.false_alarm);
}

double min_detection_cost(const std::vector<DetPoint>& curve, double target_prior) {
  double least = std::numeric_limits<double>::infinity();
  for (const DetPoint& point : curve)
    least = std::min(least, target_prior * point.miss + (1 - target_prior) * point.false_alarm);
  return least / std::min(target_prior, 1 - target_prior);
}

TermWeightedValue max_term_weighted_value(const std::vector<QueryTrials>& queries, double beta) {
  TermWeightedValue best;
  std::vector<Step> steps;
  for (const QueryTrials& trials : queries) {
    require_numbers(trials);
    const int64_t targets = targets_of(trials), others = static_cast<int64_t>(trials.size()) - targets;
    if (targets == 0 || others == 0) {
      ++best.queries_without;
      continue;
    }
    ++best.queries;
    for (const Trial& trial : trials)
      steps.push_back({trial.score, trial.target ? 1.0 / static_cast<double>(targets) : 0,
                       trial.target ? 0 : 1.0 / static_cast<double>(others)});
  }
  if (best.queries == 0)
    fail("none of {} queries occurs in some documents and not in all, so there is no value",
         best.queries_without);
  std::sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.score > b.score; });
  // Everything is missed above the first score, for a value of 0.
  double gained = 0;
  best.threshold = steps.front().score + 1;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    gained += steps[i].miss - beta * steps[i].false_alarm;
    if (i + 1 < steps.size() && steps[i + 1].score == steps[i].score) continue;
    const double value = gained / static_cast<double>(best.queries);
    if (value <= best.value) continue;
    best.value = value;
    best.threshold = steps[i].score;
  }
  return best;
}

}  // namespace retort
