#include "evaluate/asv.h"

#include "measures/cosine.h"
#include "measures/detection.h"
#include "measures/trials.h"

namespace retort {
namespace {

struct AsvSettings {
  std::string target;  // key of the corpus lines with the speaker
  std::string trials;  // pairs: all of the test split; file: those of --trials
  HeadShape shape;
  double target_prior = 0.01;  // of the detection cost
};

AsvSettings settings_of(const Protocol& protocol) {
  const std::string where = "protocol " + protocol.label();
  refuse_unknown_keys(protocol.data, {"target", "trials"}, where + " data");
  refuse_unknown_keys(protocol.probe,
                      {"kind", "projection", "hidden", "pooled", "embedding", "scale", "margin"},
                      where + " probe");
  refuse_unknown_keys(protocol.metric, {"name", "target_prior"}, where + " metric");
  AsvSettings settings;
  settings.target = json_get<std::string>(protocol.data, "target", where);
  settings.trials = json_get<std::string>(protocol.data, "trials", where);
  settings.shape.kind = json_get<std::string>(protocol.probe, "kind", where);
  settings.shape.projection = json_get<int64_t>(protocol.probe, "projection", where);
  settings.shape.hidden = json_get<int64_t>(protocol.probe, "hidden", where);
  settings.shape.pooled = json_get<int64_t>(protocol.probe, "pooled", where);
  settings.shape.embedding = json_get<int64_t>(protocol.probe, "embedding", where);
  settings.shape.scale = json_get<double>(protocol.probe, "scale", where);
  settings.shape.margin = json_get<double>(protocol.probe, "margin", where);
  settings.target_prior = json_get<double>(protocol.metric, "target_prior", where);
  if (settings.shape.kind != "xvector" || json_get<std::string>(protocol.metric, "name", where) != "eer")
    fail("{}: probe.kind should be xvector, and metric.name eer", where);
  if (settings.trials != "pairs" && settings.trials != "file")
    fail("{}: data.trials should be pairs or file", where);
  if (!(settings.target_prior > 0 && settings.target_prior < 1))
    fail("{}: metric.target_prior should be between 0 and 1", where);
  return settings;
}

Targets targets_of(const Task& task, const AsvSettings& settings) {
  Targets targets;
  for (const Utterance& utterance : task.corpus().utterances()) {
    if (!utterance.extra.contains(settings.target)) continue;
    targets.utterances.push_back(utterance);
    targets.texts.push_back(value_of(utterance, settings.target));
  }
  targets.without = static_cast<int64_t>(task.corpus().size() - targets.utterances.size());
  if (targets.utterances.empty())
    fail("{}: none of its {} utterances has a \"{}\"", task.options().corpus, task.corpus().size(),
         settings.target);
  return targets;
}

// Numbers the speakers of the training split; other splits have no use for classes.
int64_t set_speakers(SplitItems& items, const Targets& targets, const std::string& corpus) {
  std::map<std::string, int64_t> speakers;
  for (const std::size_t one : items.train) speakers.emplace(targets.texts[one], 0);
  if (speakers.size() < 2)
    fail("{}: its training split is of one speaker ({}); telling speakers apart needs two", corpus,
         speakers.begin()->first);
  int64_t count = 0;
  for (auto& [name, number] : speakers) number = count++;
  for (std::size_t i = 0; i < items.train.size(); ++i)
    items.heads.train[i].targets = {speakers.at(targets.texts[items.train[i]])};
  return count;
}

// Two items of a split, and whether one speaker says both.
struct Pair {
  std::size_t one = 0, other = 0;
  bool target = false;
};

std::vector<Pair> all_pairs(const std::vector<std::size_t>& utterances, const Targets& targets) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < utterances.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      pairs.push_back({j, i, targets.texts[utterances[i]] == targets.texts[utterances[j]]});
  return pairs;
}

// The pairs of a trial file; an Error that names the first id that is not in the test split.
std::vector<Pair> listed_pairs(const std::string& path, const std::vector<std::size_t>& utterances,
                               const Targets& targets) {
  std::map<std::string, std::size_t> items;
  for (std::size_t i = 0; i < utterances.size(); ++i) items[targets.utterances[utterances[i]].id] = i;
  const auto item_of = [&](const std::string& id) {
    const auto found = items.find(id);
    if (found == items.end()) fail("{}: {} is not in the test split", path, id);
    return found->second;
  };
  std::vector<Pair> pairs;
  for (const auto& [ids, target] : read_trials(path)) {
    const std::size_t blank = ids.find(' ');
    pairs.push_back({item_of(ids.substr(0, blank)), item_of(ids.substr(blank + 1)), target});
  }
  return pairs;
}

std::vector<DetPoint> curve_of(const std::vector<Pair>& pairs, const std::vector<Matrix>& embeddings) {
  std::vector<Trial> trials;
  for (const Pair& pair : pairs)
    trials.push_back({cosine(embeddings[pair.one].row(0), embeddings[pair.other].row(0)), pair.target});
  return det_curve(std::move(trials));
}

}  // namespace

std::string run_asv(const TaskOptions& options) {
  Task task(options, "asv");
  AsvSettings settings = settings_of(task.protocol());
  require_probe_training();
  const bool listed = settings.trials == "file";
  if (listed && task.file("trials").empty())
    fail_usage("--trials: protocol {} takes pairs from there", task.protocol().label());
  const Targets targets = targets_of(task, settings);
  if (const auto done = task.begin()) return line_of(*done, {"eer", "min_dcf"});

  SplitItems items = take_splits(task, targets);
  settings.shape.outputs = set_speakers(items, targets, options.corpus);
  const std::vector<Pair> dev_pairs = all_pairs(items.dev, targets);
  const std::vector<Pair> test_pairs =
      listed ? listed_pairs(task.file("trials"), items.test, targets) : all_pairs(items.test, targets);
  const Sweep best = sweep(task, items.heads, settings.shape, [&](const std::vector<Matrix>& embeddings) {
    return equal_error_rate(curve_of(dev_pairs, embeddings));
  });
  std::vector<Json> metrics;
  for (const TrainedHead& head : best.heads) {
    const std::vector<DetPoint> curve = curve_of(test_pairs, head.test_outputs);
    metrics.push_back(
        {{"eer", equal_error_rate(curve)}, {"min_dcf", min_detection_cost(curve, settings.target_prior)}});
  }
  Json rest = {{"metrics", over_seeds(metrics)}};
  rest.update(training_report(items, targets, best));
  int64_t same = 0;
  for (const Pair& pair : test_pairs) same += pair.target ? 1 : 0;
  rest["counts"]["training_speakers"] = settings.shape.outputs;
  rest["counts"]["target_trials"] = same;
  rest["counts"]["other_trials"] = static_cast<int64_t>(test_pairs.size()) - same;
  return line_of(task.write(rest), {"eer", "min_dcf"});
}

}  // namespace retort
