#include "report/panels.h"

#include <algorithm>
#include <string_view>

namespace retort {
namespace {

struct GroupRule {
  const char* title;
  bool folded;
  std::vector<std::string_view> words;  // one of which is in the key
};

// In the order of the page; the first rule that fits a key wins. The one without words is for the rest.
const std::vector<GroupRule>& group_rules() {
  static const std::vector<GroupRule> rules = {
      {"Losses", false, {"loss", "losses", "penalty", "term", "terms", "hint", "hints"}},
      {"Accuracies", false, {"accuracy", "accuracies"}},
      {"Perplexities", false, {"perplexity"}},
      {"Learning rate", false, {"lr"}},
      {"Gradients", false, {"gradient", "gradients"}},
      {"Throughput", false, {"per"}},
      {"Waiting and padding", false, {"wait", "pad", "share"}},
      {"Other quantities", false, {}},
      {"Counts and times", true, {"epoch", "frames", "seconds", "samples", "utterances", "updates"}},
  };
  return rules;
}

std::vector<std::string_view> words_of(std::string_view key) {
  std::vector<std::string_view> words;
  while (!key.empty()) {
    const std::size_t end = std::min(key.find_first_of("._-/ "), key.size());
    words.push_back(key.substr(0, end));
    key.remove_prefix(std::min(end + 1, key.size()));
  }
  return words;
}

bool fits(const GroupRule& rule, const std::vector<std::string_view>& words) {
  return std::any_of(words.begin(), words.end(), [&rule](std::string_view word) {
    return std::find(rule.words.begin(), rule.words.end(), word) != rule.words.end();
  });
}

std::size_t group_of(std::string_view key) {
  const std::vector<GroupRule>& rules = group_rules();
  const std::vector<std::string_view> words = words_of(key);
  std::size_t other = 0;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (fits(rules[i], words)) return i;
    if (rules[i].words.empty()) other = i;
  }
  return other;
}

Panel& panel_of(PanelGroup& group, const std::string& key) {
  const auto found = std::find_if(group.panels.begin(), group.panels.end(),
                                  [&key](const Panel& panel) { return panel.key == key; });
  if (found != group.panels.end()) return *found;
  group.panels.push_back({key, {}});
  return group.panels.back();
}

const Curve* curve_of(const TrainingLog& log, const std::string& key) {
  const auto found = std::find_if(log.curves.begin(), log.curves.end(),
                                  [&key](const Curve& curve) { return curve.key == key; });
  return found == log.curves.end() ? nullptr : &*found;
}

}  // namespace

std::vector<PanelGroup> arrange_panels(const std::vector<Run>& runs) {
  std::vector<PanelGroup> groups;
  for (const GroupRule& rule : group_rules()) groups.push_back({rule.title, rule.folded, {}});
  for (std::size_t i = 0; i < runs.size(); ++i)
    for (const Curve& curve : runs[i].log.curves)
      panel_of(groups[group_of(curve.key)], curve.key)
          .curves.push_back({i, &curve, curve_of(runs[i].low, curve.key), curve_of(runs[i].high, curve.key)});
  groups.erase(std::remove_if(groups.begin(), groups.end(),
                              [](const PanelGroup& group) { return group.panels.empty(); }),
               groups.end());
  return groups;
}

}  // namespace retort
