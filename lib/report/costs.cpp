#include "report/costs.h"

#include <algorithm>
#include <map>
#include <optional>

namespace retort {
namespace {

// Scores by which models are compared.
struct Headline {
  const char* metric;
  bool less_is_better;
};
constexpr Headline headlines[] = {{"pnmi", false},      {"phone_probe.accuracy", false},
                                  {"abx.within", true}, {"abx.across", true},
                                  {"accuracy", false},  {"per", true},
                                  {"wer", true},        {"slot_f1", false},
                                  {"eer", true},        {"der", true},
                                  {"mtwv", false}};

// Whether `name` is the metric, or that of a layer of the model itself ("layers.of model, layer
// enc3.abx.within").
bool is_metric(const std::string& name, const std::string& metric) {
  return name == metric || (name.ends_with("." + metric) && name.find("of teacher") == std::string::npos);
}

std::optional<double> value_of(const Score& score, const Headline& headline) {
  std::optional<double> best;
  for (const auto& [name, value] : score.metrics) {
    // The accuracy of a probe of phones is no accuracy of the task.
    if (!is_metric(name, headline.metric)) continue;
    if (std::string(headline.metric) == "accuracy" && name != "accuracy") continue;
    if (!best || (headline.less_is_better ? value < *best : value > *best)) best = value;
  }
  return best;
}

struct Cost {
  double millions = 0;  // of parameters
  double times_real_time = 0;
};

// By hash of the model.
std::map<std::string, Cost> costs_of(const std::vector<Score>& scores) {
  std::map<std::string, Cost> costs;
  for (const Score& score : scores) {
    if (score.task != "profile") continue;
    Cost& cost = costs[score.hash];
    for (const auto& [name, value] : score.metrics) {
      if (name == "parameters.backbone") cost.millions = value / 1e6;
      if (cost.times_real_time == 0 && name.starts_with("speed.") && name.ends_with(".times_real_time"))
        cost.times_real_time = value;
    }
  }
  return costs;
}

struct Best {
  std::string name;
  double value = 0;
};

// By hash of the model.
std::map<std::string, Best> best_scores(const std::vector<Score>& scores, const std::string& task,
                                        const Headline& headline) {
  std::map<std::string, Best> best;
  for (const Score& score : scores) {
    if (score.task != task) continue;
    const std::optional<double> value = value_of(score, headline);
    if (!value) continue;
    const auto [found, added] = best.emplace(score.hash, Best{score.model, *value});
    if (!added && (headline.less_is_better ? *value < found->second.value : *value > found->second.value))
      found->second.value = *value;
  }
  return best;
}

void add_chart(const std::string& title, std::vector<Dot> dots, std::vector<CostChart>& charts) {
  constexpr std::size_t fewest = 2;
  if (dots.size() >= fewest) charts.push_back({title, std::move(dots)});
}

}  // namespace

std::vector<CostChart> cost_charts(const std::vector<Score>& scores) {
  const std::map<std::string, Cost> costs = costs_of(scores);
  std::vector<std::string> tasks;
  for (const Score& score : scores)
    if (std::find(tasks.begin(), tasks.end(), score.task) == tasks.end()) tasks.push_back(score.task);
  std::vector<CostChart> charts;
  for (const std::string& task : tasks)
    for (const Headline& headline : headlines) {
      std::vector<Dot> sizes, speeds;
      for (const auto& [hash, best] : best_scores(scores, task, headline)) {
        const auto cost = costs.find(hash);
        if (cost == costs.end()) continue;
        if (cost->second.millions > 0) sizes.push_back({best.name, cost->second.millions, best.value});
        if (cost->second.times_real_time > 0)
          speeds.push_back({best.name, cost->second.times_real_time, best.value});
      }
      const std::string what =
          task + " " + headline.metric + (headline.less_is_better ? " (less is better)" : "");
      add_chart(what + " over millions of parameters", std::move(sizes), charts);
      add_chart(what + " over times real time, one thread", std::move(speeds), charts);
    }
  return charts;
}

}  // namespace retort
