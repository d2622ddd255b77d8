#include "evaluate/rerun.h"

#include <cmath>

#include "base/files.h"
#include "evaluate/tasks.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

// What must be the same before numbers can be.
constexpr const char* identity[] = {"task",   "protocol", "model",    "layers",
                                    "inputs", "options",  "settings", "splits"};

// A path in the result as it is seen from here.
std::string found_at(const std::string& path, const fs::path& folder) {
  return is_feature_name(path) ? path : (folder / path).lexically_normal().string();
}

TaskOptions options_of(const Json& result, const RerunOptions& rerun) {
  const std::string& where = rerun.result;
  const auto repeat = json_get<Json>(result, "repeat", where);
  const fs::path folder = fs::path(where).parent_path();
  TaskOptions options;
  for (const std::string& store : json_get_or(repeat, "features", std::vector<std::string>{}, where))
    options.features.push_back(found_at(store, folder));
  if (options.features.empty())
    options.encoder.model =
        rerun.model.empty() ? found_at(json_get<std::string>(repeat, "model", where), folder) : rerun.model;
  else if (!rerun.model.empty())
    fail_usage("--model: {} was made of feature stores", where);
  options.corpus =
      rerun.corpus.empty() ? found_at(json_get<std::string>(repeat, "corpus", where), folder) : rerun.corpus;
  const auto files = json_get<Json>(repeat, "files", where);
  for (const auto& [what, path] : files.items())
    options.files[what] = found_at(path.get<std::string>(), folder);
  if (options.features.empty()) options.encoder.layers = json_get<std::string>(result, "layers", where);
  options.encoder.precision = json_get<std::string>(repeat, "precision", where);
  options.encoder.batching = json_get<std::string>(repeat, "batching", where);
  options.encoder.batch = json_get<int>(repeat, "batch", where);
  options.encoder.window = json_get<double>(repeat, "window", where);
  options.encoder.wave_norm = json_get<std::string>(repeat, "wave_norm", where);
  options.encoder.force = !options.encoder.wave_norm.empty();
  options.encoder.threads = json_get<int>(repeat, "threads", where);
  options.encoder.device = json_get<std::string>(repeat, "device", where);
  options.encoder.engine = json_get<std::string>(repeat, "encoder", where);
  options.max_bad = json_get<double>(repeat, "max_bad", where);
  return options;
}

void require_same_job(const Json& before, const Json& now, const std::string& where) {
  for (const char* key : identity) {
    if (!before.contains(key) && !now.contains(key)) continue;
    const std::string difference = first_difference({{key, now.at(key)}}, {{key, before.at(key)}});
    if (!difference.empty()) fail("{}: cannot be repeated with these inputs: {}", where, difference);
  }
}

// The greatest difference of a metric. An Error names the first one that is beyond the tolerance.
double compare_metrics(const Json& before, const Json& now, const RerunOptions& options) {
  double greatest = 0;
  for (const auto& [name, value] : before.items()) {
    const double was = value.get<double>(), is = now.at(name).get<double>();
    if (!(std::abs(is - was) <= options.tolerance))
      fail("{}: was not reproduced: {} was {} and is {}", options.result, name, was, is);
    greatest = std::max(greatest, std::abs(is - was));
  }
  return greatest;
}

}  // namespace

std::string run_again(const RerunOptions& options) {
  const Json before = read_json(options.result);
  if (!before.is_object() || !before.contains("repeat"))
    fail("{}: is no result of a trained task or of qbe, so it does not say how to repeat it", options.result);
  TaskOptions repeated = options_of(before, options);
  const TemporaryFolder scratch;
  repeated.result.output =
      options.output.empty() ? (scratch.path() / "result.json").string() : options.output;
  repeated.result.overwrite = options.overwrite;
  repeated.settings = json_get<Json>(before, "settings", options.result);
  const std::string line = protocol_task(json_get<std::string>(before, "task", options.result)).run(repeated);
  const Json now = read_json(repeated.result.output);
  require_same_job(before, now, options.result);
  const double greatest = compare_metrics(before.at("metrics"), now.at("metrics"), options);
  return fmt::format("rerun reproduced {} metrics, greatest difference {:.1e}: {}",
                     before.at("metrics").size(), greatest, line);
}

}  // namespace retort
