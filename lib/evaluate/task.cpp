#include "evaluate/task.h"

#include <cmath>

#include "base/hash.h"
#include "base/log.h"
#include "base/threads.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

EncoderOptions with_layers(EncoderOptions options, const Protocol& protocol) {
  if (options.model.empty() || is_feature_name(options.model)) return options;
  if (options.layers.empty()) options.layers = protocol.layers;
  if (options.layers.empty()) options.layers = block_layers(options.model);
  return options;
}

TaskOptions with_one_source(const TaskOptions& options) {
  if (options.encoder.model.empty() == options.features.empty())
    fail_usage("--model is required, or --features in its place: one of them says what is scored");
  return options;
}

void add_items(const FrameFeatures& features, std::size_t position, std::vector<HeadItem>& items,
               std::vector<std::size_t>& utterances) {
  const FrameItem& item = features.items[position];
  items.push_back({item.values.data(), item.frames, {}});
  utterances.push_back(item.utterance);
}

}  // namespace

Json repeat_of(const TaskOptions& options) {
  const fs::path folder = fs::absolute(options.result.output).lexically_normal().parent_path();
  Json files = Json::object();
  for (const auto& [what, path] : options.files)
    if (!path.empty()) files[what] = relative_path(path, folder);
  const EncoderOptions& encoder = options.encoder;
  Json stores = Json::array();
  for (const std::string& store : options.features) stores.push_back(relative_path(store, folder));
  const bool is_path = !encoder.model.empty() && !is_feature_name(encoder.model);
  return {{"model", is_path ? relative_path(encoder.model, folder) : encoder.model},
          {"features", stores},
          {"corpus", relative_path(options.corpus, folder)},
          {"files", files},
          {"threads", encoder.threads > 0 ? encoder.threads : available_threads()},
          {"device", encoder.device},
          {"encoder", encoder.engine},
          {"precision", encoder.precision},
          {"batching", encoder.batching},
          {"batch", encoder.batch},
          {"window", encoder.window},
          {"wave_norm", encoder.wave_norm},
          {"max_bad", options.max_bad}};
}

Task::Task(const TaskOptions& options, const std::string& task)
    : options_(with_one_source(options)),
      result_(options.result),
      protocol_(options.settings.is_null() ? read_protocol(options.protocol, options.overrides, task)
                                           : parse_protocol(options.settings, "the result's settings")),
      corpus_(Corpus::read(options.corpus)) {
  options_.encoder = with_layers(options.encoder, protocol_);
  source_ = open_frame_source(options_.encoder, options_.features);
}

std::string Task::file(const std::string& what) const {
  const auto found = options_.files.find(what);
  return found == options_.files.end() ? "" : found->second;
}

std::optional<Json> Task::begin() {
  Json inputs = {{"corpus", corpus_.hash()}};
  for (const auto& [what, path] : options_.files)
    if (!path.empty()) inputs[what] = hash_file(path);
  if (const Json stores = source_->stores(); !stores.is_null()) inputs["features"] = stores;
  const EncoderOptions& encoder = options_.encoder;
  return result_.begin({{"task", protocol_.task},
                        {"protocol", protocol_.label()},
                        {"model", source_->model()},
                        {"layers", options_.features.empty() ? encoder.layers : layers_of(*source_)},
                        {"inputs", inputs},
                        {"options",
                         {{"precision", encoder.precision},
                          {"batching", encoder.batching},
                          {"batch", encoder.batch},
                          {"window", encoder.window},
                          {"wave_norm", encoder.wave_norm}}},
                        {"settings", protocol_.to_json()}});
}

Json Task::write(Json rest) const {
  rest["repeat"] = repeat_of(options_);
  return result_.write(rest);
}

SplitItems take_splits(Task& task, const Targets& targets) {
  const std::vector<Split> splits = split_utterances(targets.utterances, task.protocol().splits);
  SplitItems items;
  items.features = take_features(targets.utterances, task.source(), task.options().max_bad);
  std::vector<Utterance> used;
  std::vector<Split> used_splits;
  std::vector<std::string> used_targets;
  std::vector<bool> fit;
  for (const FrameItem& item : items.features.items) {
    used.push_back(targets.utterances[item.utterance]);
    used_splits.push_back(splits[item.utterance]);
    used_targets.push_back(targets.texts[item.utterance]);
    fit.push_back(splits[item.utterance] == Split::train);
  }
  items.hashes = split_hashes(used, used_splits, used_targets);
  require_splits(items.hashes, task.protocol().splits, task.protocol().label());
  items.heads.layers = items.features.layers;
  items.heads.dim = items.features.dim;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used_splits[i] == Split::train) add_items(items.features, i, items.heads.train, items.train);
    if (used_splits[i] == Split::dev) add_items(items.features, i, items.heads.dev, items.dev);
    if (used_splits[i] == Split::test) add_items(items.features, i, items.heads.test, items.test);
  }
  if (items.train.empty() || items.dev.empty() || items.test.empty())
    fail("{}: {} utterances are too few to be split ({} train, {} dev, {} test)", task.options().corpus,
         used.size(), items.train.size(), items.dev.size(), items.test.size());
  standardise(items.features, fit);
  return items;
}

Sweep sweep(const Task& task, const HeadData& data, const HeadShape& shape, const DevCost& dev_cost) {
  const Protocol& protocol = task.protocol();
  Sweep best;
  best.tried = Json::array();
  double least = 0;
  for (const double lr : protocol.lrs) {
    std::vector<TrainedHead> heads;
    double cost = 0;
    for (int64_t seed = 0; seed < protocol.seeds; ++seed) {
      heads.push_back(train_head(
          data, shape, {protocol.optimiser, lr, static_cast<uint64_t>(seed), task.options().encoder.threads},
          dev_cost));
      cost += heads.back().dev_cost / static_cast<double>(protocol.seeds);
      log_info("evaluate", "learning rate {} seed {}: dev cost {:.4f} at step {}", lr, seed,
               heads.back().dev_cost, heads.back().step);
    }
    best.tried.push_back({{"lr", lr}, {"dev_cost", cost}});
    if (!best.heads.empty() && cost >= least) continue;
    least = cost;
    best.lr = lr;
    best.heads = std::move(heads);
  }
  return best;
}

Json over_seeds(const std::vector<Json>& metrics) {
  Json result = Json::object();
  const auto count = static_cast<double>(metrics.size());
  for (const auto& [name, first] : metrics.front().items()) {
    double mean = 0, variance = 0;
    for (const Json& one : metrics) mean += one.at(name).get<double>() / count;
    for (const Json& one : metrics) variance += std::pow(one.at(name).get<double>() - mean, 2) / count;
    result[name] = mean;
    result[name + "_deviation"] = std::sqrt(variance);
  }
  return result;
}

Json training_report(const SplitItems& items, const Targets& targets, const Sweep& sweep) {
  Json weights = Json::array(), steps = Json::array();
  for (const TrainedHead& head : sweep.heads) {
    weights.push_back(head.layer_weights);
    steps.push_back(head.step);
  }
  return {{"counts",
           {{"train", items.train.size()},
            {"dev", items.dev.size()},
            {"test", items.test.size()},
            {"without_target", targets.without},
            {"bad", items.features.bad}}},
          {"splits", items.hashes},
          {"lr", sweep.lr},
          {"lr_sweep", sweep.tried},
          {"best_steps", steps},
          {"layer_weights", weights}};
}

std::string line_of(const Json& result, const std::vector<std::string>& metrics) {
  std::string line = result.at("task").get<std::string>();
  for (const std::string& name : metrics)
    line += fmt::format(" {} {:.4f} deviation {:.4f}", name, result.at("metrics").at(name).get<double>(),
                        result.at("metrics").at(name + "_deviation").get<double>());
  return line + fmt::format(" test {}", result.at("counts").at("test").get<int64_t>());
}

}  // namespace retort
