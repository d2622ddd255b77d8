// What models cost against how well they do.
#pragma once

#include <string>
#include <vector>

#include "report/chart.h"
#include "report/sources.h"

namespace retort {

// One chart: a score over a cost, a dot per model that has both.
struct CostChart {
  std::string title;  // "units pnmi over millions of parameters"
  std::vector<Dot> dots;
};

// Of every task's scores that say how good a model is, over millions of parameters and over speed (times real
// time of the profile's first row), where at least two models have both. A model's best score of a task
// counts, over layers; what it costs is that of its result of the task "profile".
std::vector<CostChart> cost_charts(const std::vector<Score>& scores);

}  // namespace retort
