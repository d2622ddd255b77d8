#include "evaluate/probe.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/fields.h"
#include "evaluate/probe_training.h"

namespace retort {
namespace {

constexpr const char* linear = "linear";
constexpr const char* one_hidden_layer = "mlp";

struct ProbeSettings {
  std::vector<std::string> keys;  // of the corpus lines: what to tell apart
  bool hidden_layer = false;
};

ProbeSettings settings_of(const Protocol& protocol) {
  const std::string where = "protocol " + protocol.label();
  refuse_unknown_keys(protocol.data, {"target"}, where + " data");
  refuse_unknown_keys(protocol.probe, {"kind"}, where + " probe");
  refuse_unknown_keys(protocol.metric, {"name"}, where + " metric");
  const auto target = json_get<std::string>(protocol.data, "target", where);
  if (target.empty())
    fail_usage("--label-key is required: what protocol {} is to tell apart", protocol.label());
  const auto kind = json_get<std::string>(protocol.probe, "kind", where);
  if ((kind != linear && kind != one_hidden_layer) ||
      json_get<std::string>(protocol.metric, "name", where) != "accuracy")
    fail("{}: probe.kind should be {} or {}, and metric.name accuracy", where, linear, one_hidden_layer);
  return {parts_of(target), kind == one_hidden_layer};
}

// One thing to tell apart: the values of a key.
struct Slot {
  std::string key;
  std::vector<std::string> classes;  // sorted names
  std::map<std::string, int64_t> index;
};

// Utterances that have all keys, with their classes.
struct Examples {
  std::vector<Utterance> utterances;
  std::vector<std::string> names;  // of their classes, joined by commas
  std::vector<Slot> slots;

  std::vector<int64_t> classes_of(const Utterance& utterance) const {
    std::vector<int64_t> classes;
    for (const Slot& slot : slots) classes.push_back(slot.index.at(value_of(utterance, slot.key)));
    return classes;
  }
};

Examples examples_of(const Task& task, const ProbeSettings& settings) {
  Examples examples;
  for (const std::string& key : settings.keys) examples.slots.push_back({key, {}, {}});
  for (const Utterance& utterance : task.corpus().utterances()) {
    const bool labelled = std::all_of(examples.slots.begin(), examples.slots.end(),
                                      [&](const Slot& slot) { return utterance.extra.contains(slot.key); });
    if (!labelled) continue;
    examples.utterances.push_back(utterance);
    examples.names.emplace_back();
    for (Slot& slot : examples.slots) {
      const std::string name = value_of(utterance, slot.key);
      slot.index.emplace(name, 0);
      examples.names.back() += (examples.names.back().empty() ? "" : ",") + name;
    }
  }
  for (Slot& slot : examples.slots) {
    if (slot.index.size() < 2)
      fail("{}: {} utterances have a \"{}\", of {} classes; a probe needs two classes", task.options().corpus,
           examples.utterances.size(), fmt::join(settings.keys, ","), slot.index.size());
    for (auto& [name, index] : slot.index) {
      index = static_cast<int64_t>(slot.classes.size());
      slot.classes.push_back(name);
    }
  }
  return examples;
}

// Means over time of one utterance, (layers, dim).
struct PooledItem {
  std::size_t utterance = 0;
  std::vector<float> values;
};

struct Pooled {
  int64_t layers = 0;
  int64_t dim = 0;
  std::vector<PooledItem> items;
  std::map<std::string, std::size_t> bad;  // skipped utterances by reason
};

std::vector<float> means_of(const std::vector<Matrix>& outputs) {
  std::vector<float> means;
  for (const Matrix& frames : outputs)
    for (int64_t column = 0; column < frames.columns(); ++column) {
      double sum = 0;
      for (int64_t row = 0; row < frames.rows(); ++row) sum += static_cast<double>(frames(row, column));
      means.push_back(static_cast<float>(sum / static_cast<double>(frames.rows())));
    }
  return means;
}

Pooled pooled_features(const Examples& examples, Task& task) {
  FrameSource& source = task.source();
  Pooled pooled;
  pooled.layers = static_cast<int64_t>(source.outputs().size());
  pooled.dim = common_width(source);
  pooled.bad = source.run(examples.utterances, task.options().max_bad,
                          [&](std::size_t utterance, int64_t /*samples*/, const std::vector<Matrix>& frames) {
                            pooled.items.push_back({utterance, means_of(frames)});
                          });
  return pooled;
}

// The fold in which `key` has the value is tested; dev is a tenth of the others by a hash of their id.
std::vector<Split> splits_of_fold(const Examples& examples, const std::string& key,
                                  const std::string& value) {
  std::vector<Split> splits;
  for (const Utterance& utterance : examples.utterances)
    splits.push_back(value_of(utterance, key) == value          ? Split::test
                     : hashed_split(utterance.id) == Split::dev ? Split::dev
                                                                : Split::train);
  return splits;
}

ProbeData data_of(const Pooled& pooled, const Examples& examples, const std::vector<Split>& splits,
                  const std::string& corpus) {
  ProbeData data;
  data.layers = pooled.layers;
  data.dim = pooled.dim;
  for (const Slot& slot : examples.slots) data.classes.push_back(static_cast<int64_t>(slot.classes.size()));
  for (const PooledItem& item : pooled.items) {
    const Split which = splits[item.utterance];
    ProbeSplit& split = which == Split::train ? data.train : which == Split::dev ? data.dev : data.test;
    split.features.insert(split.features.end(), item.values.begin(), item.values.end());
    const std::vector<int64_t> classes = examples.classes_of(examples.utterances[item.utterance]);
    split.classes.insert(split.classes.end(), classes.begin(), classes.end());
    ++split.rows;
  }
  if (data.train.rows == 0 || data.dev.rows == 0 || data.test.rows == 0)
    fail("{}: {} utterances are too few to be split ({} train, {} dev, {} test)", corpus, pooled.items.size(),
         data.train.rows, data.dev.rows, data.test.rows);
  return data;
}

Json hashes_of(const Pooled& pooled, const Examples& examples, const std::vector<Split>& splits) {
  std::vector<Utterance> utterances;
  std::vector<Split> used;
  std::vector<std::string> names;
  for (const PooledItem& item : pooled.items) {
    utterances.push_back(examples.utterances[item.utterance]);
    used.push_back(splits[item.utterance]);
    names.push_back(examples.names[item.utterance]);
  }
  return split_hashes(utterances, used, names);
}

// Share of the test split that the most frequent classes of the training split get right.
double majority_share(const ProbeData& data) {
  const std::size_t slots = data.classes.size();
  const auto count = [&](const ProbeSplit& split) {
    std::map<std::vector<int64_t>, int64_t> counts;
    for (auto row = split.classes.begin(); row != split.classes.end();
         row += static_cast<std::ptrdiff_t>(slots))
      ++counts[std::vector<int64_t>(row, row + static_cast<std::ptrdiff_t>(slots))];
    return counts;
  };
  const auto train = count(data.train);
  const auto most = std::max_element(train.begin(), train.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return static_cast<double>(count(data.test)[most->first]) / static_cast<double>(data.test.rows);
}

// One score per seed at each rate; the rate with the most hits on dev over all seeds; of equals the one with
// the least cross-entropy there.
std::pair<double, std::vector<ProbeScore>> best_rate(const ProbeData& data, const Task& task,
                                                     bool hidden_layer, Json& tried) {
  const Protocol& protocol = task.protocol();
  std::pair<double, std::vector<ProbeScore>> best;
  std::pair<int64_t, double> best_cost{1, 0};  // hits, negative, and loss
  for (const double lr : protocol.lrs) {
    std::vector<ProbeScore> scores;
    int64_t hits = 0;
    double loss = 0;
    for (int64_t seed = 0; seed < protocol.seeds; ++seed) {
      scores.push_back(train_probe(data, {hidden_layer, protocol.optimiser, lr, static_cast<uint64_t>(seed),
                                          task.options().encoder.threads}));
      hits += scores.back().dev_correct;
      loss += scores.back().dev_loss;
    }
    tried.push_back(
        {{"lr", lr},
         {"dev_accuracy", static_cast<double>(hits) / static_cast<double>(protocol.seeds * data.dev.rows)}});
    if (std::pair(-hits, loss) >= best_cost) continue;
    best_cost = {-hits, loss};
    best = {lr, std::move(scores)};
  }
  return best;
}

// What one fold, or all there is, gives.
struct FoldResult {
  std::vector<double> accuracies;  // by seed
  double majority = 0;
  Json report;
};

FoldResult score_splits(const Pooled& pooled, const Examples& examples, const std::vector<Split>& splits,
                        const Task& task, const ProbeSettings& settings) {
  const Protocol& protocol = task.protocol();
  const Json hashes = hashes_of(pooled, examples, splits);
  require_splits(hashes, protocol.splits, protocol.label());
  const ProbeData data = data_of(pooled, examples, splits, task.options().corpus);
  Json tried = Json::array(), correct = Json::array(), weights = Json::array();
  const auto [lr, scores] = best_rate(data, task, settings.hidden_layer, tried);
  FoldResult fold;
  for (const ProbeScore& score : scores) {
    fold.accuracies.push_back(static_cast<double>(score.test_correct) / static_cast<double>(data.test.rows));
    correct.push_back(score.test_correct);
    weights.push_back(score.layer_weights);
  }
  fold.majority = majority_share(data);
  fold.report = {{"counts",
                  {{"train", data.train.rows},
                   {"dev", data.dev.rows},
                   {"test", data.test.rows},
                   {"test_correct", correct}}},
                 {"splits", hashes},
                 {"lr", lr},
                 {"lr_sweep", tried},
                 {"layer_weights", weights}};
  return fold;
}

// Mean over folds of each seed, then mean and deviation over seeds.
Json metrics_of(const std::vector<FoldResult>& folds, const Examples& examples) {
  const auto count = static_cast<double>(folds.size());
  std::vector<Json> by_seed(folds.front().accuracies.size(), {{"accuracy", 0.0}});
  double majority = 0, chance = 1;
  for (const FoldResult& fold : folds) {
    for (std::size_t seed = 0; seed < by_seed.size(); ++seed)
      by_seed[seed]["accuracy"] = by_seed[seed]["accuracy"].get<double>() + fold.accuracies[seed] / count;
    majority += fold.majority / count;
  }
  for (const Slot& slot : examples.slots) chance /= static_cast<double>(slot.classes.size());
  Json metrics = over_seeds(by_seed);
  metrics["majority"] = majority;
  metrics["chance"] = chance;
  return metrics;
}

// Names of the classes: a list, or a list per slot where there are several.
Json classes_of(const Examples& examples) {
  if (examples.slots.size() == 1) return examples.slots.front().classes;
  Json classes = Json::object();
  for (const Slot& slot : examples.slots) classes[slot.key] = slot.classes;
  return classes;
}

Json score_folds(const Pooled& pooled, const Examples& examples, const Task& task,
                 const ProbeSettings& settings) {
  const std::string& key = task.protocol().splits.key;
  std::set<std::string> values;
  for (const Utterance& utterance : examples.utterances) values.insert(value_of(utterance, key));
  if (values.size() < 2)
    fail("{}: all utterances have the same \"{}\"; folds need two values", task.options().corpus, key);
  std::vector<FoldResult> folds;
  Json reports = Json::object();
  int64_t tested = 0;
  for (const std::string& value : values) {
    folds.push_back(score_splits(pooled, examples, splits_of_fold(examples, key, value), task, settings));
    reports[value] = folds.back().report;
    tested += reports[value]["counts"]["test"].get<int64_t>();
  }
  return {{"metrics", metrics_of(folds, examples)}, {"counts", {{"test", tested}}}, {"folds", reports}};
}

std::string line_of(const Json& result) {
  const Json& metrics = result.at("metrics");
  const Json& classes = result.at("classes");
  std::string counts = std::to_string(classes.size());
  if (classes.is_object()) {
    std::vector<std::size_t> sizes;
    for (const Json& slot : classes) sizes.push_back(slot.size());
    counts = fmt::format("{}", fmt::join(sizes, ","));
  }
  return fmt::format(
      "probe accuracy {:.4f} deviation {:.4f} majority {:.4f} chance {:.4f} classes {} test {}",
      metrics.at("accuracy").get<double>(), metrics.at("accuracy_deviation").get<double>(),
      metrics.at("majority").get<double>(), metrics.at("chance").get<double>(), counts,
      result.at("counts").at("test").get<int64_t>());
}

}  // namespace

std::string run_probe(const TaskOptions& options) {
  Task task(options, "probe");
  const ProbeSettings settings = settings_of(task.protocol());
  require_probe_training();
  const Examples examples = examples_of(task, settings);
  const bool folds = task.protocol().splits.kind == "folds";
  std::vector<Split> splits;
  if (!folds) splits = split_utterances(examples.utterances, task.protocol().splits);
  if (const auto done = task.begin()) return line_of(*done);
  const Pooled pooled = pooled_features(examples, task);
  Json rest;
  if (folds) {
    rest = score_folds(pooled, examples, task, settings);
  } else {
    const FoldResult all = score_splits(pooled, examples, splits, task, settings);
    rest = all.report;
    rest["metrics"] = metrics_of({all}, examples);
  }
  rest["classes"] = classes_of(examples);
  rest["counts"]["without_label"] = task.corpus().size() - examples.utterances.size();
  rest["counts"]["bad"] = pooled.bad;
  return line_of(task.write(rest));
}

}  // namespace retort
