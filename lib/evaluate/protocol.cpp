#include "evaluate/protocol.h"

#include <algorithm>

#include "base/overrides.h"

namespace retort {
namespace {

void require(bool holds, const std::string& where, const char* what) {
  if (!holds) fail("{}: {}", where, what);
}

void check(const Protocol& protocol, const std::string& where) {
  const OptimiserRule& optimiser = protocol.optimiser;
  const bool folds = protocol.splits.kind == "folds" && protocol.task == "probe";
  require(protocol.splits.kind == "hashed" || protocol.splits.kind == "given" || folds, where,
          "splits.kind should be hashed or given (of task probe also folds)");
  if (!protocol.trains()) return;
  require(optimiser.name == "adam" || optimiser.name == "adamw", where,
          "optimiser.name should be adam or adamw");
  const int64_t least_batch = protocol.task == "probe" ? 0 : 1;
  require(
      optimiser.batch >= least_batch && optimiser.steps >= 1 && optimiser.dev_every >= 1, where,
      "optimiser.batch, steps and dev_every should be at least 1 (batch of task probe 0: the whole split)");
  require(optimiser.clip >= 0, where, "optimiser.clip should not be negative");
  require(!protocol.lrs.empty() &&
              std::all_of(protocol.lrs.begin(), protocol.lrs.end(), [](double lr) { return lr > 0; }),
          where, "sweep.lr should be a list of learning rates above 0");
  require(protocol.seeds >= 1 && protocol.seeds <= 1000, where, "seeds should be 1 to 1000");
}

SplitRule parse_splits(const Json& json, const std::string& where) {
  SplitRule splits;
  splits.kind = json_get<std::string>(json, "kind", where);
  splits.key = json_get<std::string>(json, "key", where);
  splits.disjoint = json_get<std::vector<std::string>>(json, "disjoint", where);
  const auto hashes = json_get<Json>(json, "hashes", where);
  splits.train = json_get<std::string>(hashes, "train", where);
  splits.dev = json_get<std::string>(hashes, "dev", where);
  splits.test = json_get<std::string>(hashes, "test", where);
  return splits;
}

void read_training(const Json& json, const std::string& where, Protocol& protocol) {
  const auto optimiser = json_get<Json>(json, "optimiser", where);
  protocol.optimiser = {
      json_get<std::string>(optimiser, "name", where), json_get<int64_t>(optimiser, "batch", where),
      json_get<int64_t>(optimiser, "steps", where), json_get<int64_t>(optimiser, "dev_every", where),
      json_get<double>(optimiser, "clip", where)};
  protocol.lrs = json_get<std::vector<double>>(json_get<Json>(json, "sweep", where), "lr", where);
  protocol.seeds = json_get<int64_t>(json, "seeds", where);
}

}  // namespace

Json Protocol::to_json() const {
  Json json = {{"name", name},
               {"version", version},
               {"about", about},
               {"task", task},
               {"data", data},
               {"splits",
                {{"kind", splits.kind},
                 {"key", splits.key},
                 {"disjoint", splits.disjoint},
                 {"hashes", {{"train", splits.train}, {"dev", splits.dev}, {"test", splits.test}}}}},
               {"layers", layers},
               {"probe", probe}};
  if (trains()) {
    json["optimiser"] = {{"name", optimiser.name},
                         {"batch", optimiser.batch},
                         {"steps", optimiser.steps},
                         {"dev_every", optimiser.dev_every},
                         {"clip", optimiser.clip}};
    json["sweep"] = {{"lr", lrs}, {"pick", "dev"}};
    json["seeds"] = seeds;
  }
  json["metric"] = metric;
  return json;
}

Protocol parse_protocol(const Json& json, const std::string& where) {
  Protocol protocol;
  protocol.name = json_get<std::string>(json, "name", where);
  protocol.version = json_get<int64_t>(json, "version", where);
  protocol.about = json_get<std::string>(json, "about", where);
  protocol.task = json_get<std::string>(json, "task", where);
  protocol.data = json_get<Json>(json, "data", where);
  protocol.splits = parse_splits(json_get<Json>(json, "splits", where), where + " splits");
  protocol.layers = json_get<std::string>(json, "layers", where);
  protocol.probe = json_get<Json>(json, "probe", where);
  if (protocol.trains()) read_training(json, where, protocol);
  protocol.metric = json_get<Json>(json, "metric", where);
  // What was understood is what is written back: a key that is missing there is one nobody reads.
  const std::string unread = first_difference(json, protocol.to_json());
  if (!unread.empty()) fail("{}: unknown or ill-typed key: {}", where, unread);
  check(protocol, where);
  return protocol;
}

std::vector<std::string> builtin_protocols(const std::string& task) {
  std::vector<std::string> names;
  for (const EmbeddedJson& file : builtin_protocol_texts())
    if (parse_json(file.text, std::string(file.name)).at("task") == task) names.emplace_back(file.name);
  return names;
}

Protocol read_protocol(const std::string& name_or_file, const std::vector<std::string>& overrides,
                       const std::string& task) {
  Json json = read_embedded_json(builtin_protocol_texts(), "protocol", name_or_file);
  for (const std::string& assignment : overrides) apply_override(json, assignment, "protocol");
  Protocol protocol = parse_protocol(json, "protocol " + name_or_file);
  if (protocol.task != task)
    fail_usage("--protocol {}: is of task {}, not {} (of that: {})", name_or_file, protocol.task, task,
               fmt::join(builtin_protocols(task), ", "));
  return protocol;
}

}  // namespace retort
