#include "report/sources.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/fields.h"
#include "base/files.h"
#include "base/log.h"
#include "report/text.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr const char* run_format = "retort-run-";  // and a version
constexpr const char* log_name = "log.jsonl";

// Without a "." or an ending slash, so that paths can be compared and named.
fs::path plain_path(const fs::path& path) {
  const fs::path plain = fs::absolute(path).lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

// A file's JSON, or a discarded value where it holds none.
Json json_of(const fs::path& path) {
  return fs::is_regular_file(path) ? Json::parse(read_file(path), nullptr, false)
                                   : Json(Json::value_t::discarded);
}

std::string text_at(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>()) : "";
}

bool is_run(const fs::path& path) {
  return text_at(json_of(path / "config.json"), "format").starts_with(run_format);
}

bool is_result(const Json& json) {
  return !text_at(json, "task").empty() && json.contains("metrics") && json["metrics"].is_structured();
}

// What there is to report: folders of runs, and results by their paths.
struct Found {
  std::vector<fs::path> runs;
  std::vector<fs::path> result_paths;
  std::vector<Json> results;

  void add_run(const fs::path& run) {
    if (std::find(runs.begin(), runs.end(), run) == runs.end()) runs.push_back(run);
  }
  void add_result(const fs::path& path, Json result) {
    if (std::find(result_paths.begin(), result_paths.end(), path) != result_paths.end()) return;
    result_paths.push_back(path);
    results.push_back(std::move(result));
  }
  std::size_t size() const { return runs.size() + results.size(); }
};

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (auto entry = fs::directory_iterator(folder, error); entry != fs::directory_iterator();
       entry.increment(error))
    entries.push_back(entry->path());
  if (error) fail("{}: cannot be searched ({})", folder.string(), error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void add_searched_run(const fs::path& run, Found& found) {
  if (fs::exists(run / log_name) && fs::file_size(run / log_name) > 0) return found.add_run(run);
  log_warning("report", "{} has no report in its log and is left out", run.string());
}

// Links to folders are not followed, since they may lead back up.
void search(const fs::path& folder, Found& found) {
  for (const fs::path& entry : sorted_entries(folder)) {
    if (fs::is_directory(entry) && !fs::is_symlink(entry)) {
      if (is_run(entry))
        add_searched_run(entry, found);
      else
        search(entry, found);
    } else if (entry.extension() == ".json") {
      if (Json json = json_of(entry); is_result(json)) found.add_result(entry, std::move(json));
    }
  }
}

void add_input(const std::string& input, Found& found) {
  if (!fs::exists(input)) fail("{}: no such file or folder", input);
  const fs::path path = plain_path(input);
  if (is_run(path)) return found.add_run(path);
  if (Json json = json_of(path); is_result(json)) return found.add_result(path, std::move(json));
  if (!fs::is_directory(path))
    fail("{}: is no result of retort-evaluate; name a run's folder, or give a log alone as --reference",
         input);
  Found within;
  search(path, within);
  if (within.size() == 0)
    fail("{}: holds neither a run with a report nor a result; name folders or files that do", input);
  for (const fs::path& run : within.runs) found.add_run(run);
  for (std::size_t i = 0; i < within.results.size(); ++i)
    found.add_result(within.result_paths[i], std::move(within.results[i]));
}

Run read_run(const fs::path& folder, const std::string& name) {
  const fs::path log = folder / log_name;
  if (!fs::exists(log))
    fail("{}: is not there yet; wait for the first report or leave this run out", log.string());
  return {name,
          read_training_log(log),
          read_json(folder / "config.json"),
          fs::exists(folder / "student" / "config.json"),
          text_at(json_of(folder / "student" / "retort.json"), "hash"),
          {},
          {}};
}

// A log that is still called log.jsonl goes by its folder.
fs::path reference_name(const fs::path& log) {
  return log.filename() == log_name ? log.parent_path() : log.parent_path() / log.stem();
}

// Named by the first of its logs, and how many more there are.
Run reference_of(const std::vector<std::string>& logs, const std::string& name) {
  if (logs.size() == 1) return {name, read_training_log(logs.front()), nullptr, false, "", {}, {}};
  std::vector<TrainingLog> read;
  for (const std::string& log : logs) read.push_back(read_training_log(log));
  LogBand band = band_of(read);
  return {fmt::format("{} +{}", name, logs.size() - 1),
          std::move(band.mean),
          nullptr,
          false,
          "",
          std::move(band.low),
          std::move(band.high)};
}

void add_references(const std::vector<std::string>& references, std::vector<Run>& runs) {
  std::vector<std::vector<std::string>> logs;
  std::vector<fs::path> paths;
  for (const std::string& reference : references) {
    // A file whose name has a comma is meant as it stands.
    logs.push_back(fs::exists(reference) ? std::vector{reference} : parts_of(reference));
    paths.push_back(reference_name(plain_path(logs.back().front())));
  }
  const std::vector<std::string> names = distinct_names(paths);
  for (std::size_t i = 0; i < logs.size(); ++i) runs.push_back(reference_of(logs[i], names[i]));
}

// An object in a list is named by its texts and whole numbers, which say what was set (layer, threads,
// batch); its other numbers are what was measured.
std::pair<std::string, Json> named_element(const Json& element, std::size_t index) {
  if (!element.is_object()) return {std::to_string(index), element};
  std::string name;
  Json measured = Json::object();
  for (const auto& [key, value] : element.items()) {
    if (value.is_number_integer() || value.is_string())
      name += fmt::format("{}{} {}", name.empty() ? "" : ", ", key,
                          value.is_string() ? value.get<std::string>() : value.dump());
    else
      measured[key] = value;
  }
  return {name.empty() ? std::to_string(index) : name, measured};
}

// Adds each number within `value`, named by the keys that lead to it.
void add_metrics(const Json& value, const std::string& name, int depth, Score& score) {
  constexpr int deepest = 8;
  if (value.is_number()) score.metrics.emplace_back(printable(name), value.get<double>());
  if (!value.is_structured() || depth == deepest) return;
  const std::string prefix = name.empty() ? "" : name + ".";
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) add_metrics(inner, prefix + key, depth + 1, score);
    return;
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto [element, measured] = named_element(value[i], i);
    add_metrics(measured, prefix + element, depth + 1, score);
  }
}

int64_t things_scored(const Json& result) {
  const auto counts = result.find("counts");
  if (counts == result.end() || !counts->is_object() || counts->empty()) return 0;
  const Json& count = counts->contains("test") ? counts->at("test") : *counts->begin();
  return json_holds<int64_t>(count) ? count.get<int64_t>() : 0;
}

std::string model_name(const std::string& model, const std::vector<Run>& runs) {
  constexpr std::size_t hash_digits = 32;
  const auto run =
      std::find_if(runs.begin(), runs.end(), [&model](const Run& r) { return r.student == model; });
  if (!model.empty() && run != runs.end()) return run->name;
  const bool is_hash =
      model.size() == hash_digits && model.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_hash ? model.substr(0, hash_digits / 4) : model;
}

std::string layer_of(const Json& result) {
  for (const char* key : {"layer", "layers"}) {
    if (const std::string layer = text_at(result, key); !layer.empty()) return layer;
    if (result.contains("inputs"))
      if (const std::string layer = text_at(result["inputs"], key); !layer.empty()) return layer;
  }
  return "";
}

// Means of "layer_weights", a list per seed. None where they are no numbers, or not one per layer.
std::vector<std::pair<std::string, double>> layer_weights_of(const Json& result) {
  const std::vector<std::string> layers = parts_of(layer_of(result));
  std::vector<std::pair<std::string, double>> weights;
  if (!result.contains("layer_weights")) return {};
  for (const std::string& layer : layers) weights.emplace_back(layer, 0);
  const Json& seeds = result.at("layer_weights");
  if (!seeds.is_array()) return {};
  for (const Json& seed : seeds) {
    if (!json_holds<std::vector<double>>(seed) || seed.size() != layers.size()) return {};
    for (std::size_t i = 0; i < layers.size(); ++i)
      weights[i].second += seed[i].get<double>() / static_cast<double>(seeds.size());
  }
  return weights;
}

// A result of several models has a list of metrics, each of which names its own.
void add_scores(const Json& result, const std::string& name, const std::vector<Run>& runs,
                std::vector<Score>& scores) {
  const Json& metrics = result["metrics"];
  const bool several = metrics.is_array();
  for (const Json& one : several ? metrics : Json::array({metrics})) {
    const std::string model = model_name(text_at(several ? one : result, "model"), runs);
    Score score;
    score.name = several ? name + " " + model : name;
    score.task = text_at(result, "task");
    score.model = model;
    score.hash = text_at(several ? one : result, "model");
    score.layer = layer_of(result);
    score.protocol = text_at(result, "protocol");
    score.layer_weights = layer_weights_of(result);
    score.n = things_scored(result);
    add_metrics(one, "", 0, score);
    scores.push_back(std::move(score));
  }
}

std::vector<Score> read_scores(const Found& found, const std::vector<Run>& runs) {
  std::vector<fs::path> paths;
  for (const fs::path& path : found.result_paths) paths.push_back(path.parent_path() / path.stem());
  std::vector<std::string> names = distinct_names(paths);
  std::vector<Score> scores;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string repeated =
        fmt::format("/{}", text_at(found.results[i], "task"));  // in teacher/enc3/units.json
    if (names[i].ends_with(repeated)) names[i].resize(names[i].size() - repeated.size());
    add_scores(found.results[i], names[i], runs, scores);
  }
  return scores;
}

// The last `parts` parts of a path, or all it has, without its root.
std::string path_end(const fs::path& path, std::size_t parts) {
  const fs::path relative = path.relative_path();
  const auto all = static_cast<std::size_t>(std::distance(relative.begin(), relative.end()));
  fs::path end;
  for (auto part = std::next(relative.begin(), static_cast<std::ptrdiff_t>(all - std::min(parts, all)));
       part != relative.end(); ++part)
    end /= *part;
  return end.string();
}

}  // namespace

std::vector<std::string> distinct_names(const std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  for (const fs::path& path : paths) names.push_back(path_end(path, 1));
  for (std::size_t parts = 2;; ++parts) {
    std::map<std::string, std::size_t> uses;
    for (const std::string& name : names) ++uses[name];
    bool changed = false;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      if (uses[names[i]] == 1) continue;
      std::string longer = path_end(paths[i], parts);
      changed |= longer != names[i];
      names[i] = std::move(longer);
    }
    if (changed) continue;
    for (std::string& name : names) name = printable(name);
    return names;
  }
}

Sources read_sources(const std::vector<std::string>& inputs, const std::vector<std::string>& references) {
  Found found;
  for (const std::string& input : inputs) add_input(input, found);
  const std::vector<std::string> names = distinct_names(found.runs);
  Sources sources;
  for (std::size_t i = 0; i < found.runs.size(); ++i)
    sources.runs.push_back(read_run(found.runs[i], names[i]));
  add_references(references, sources.runs);
  sources.scores = read_scores(found, sources.runs);
  return sources;
}

}  // namespace retort
