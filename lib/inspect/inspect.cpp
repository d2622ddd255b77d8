#include "inspect/inspect.h"

#include <algorithm>

#include "audio/piped_audio.h"
#include "base/files.h"
#include "base/log.h"
#include "base/shard.h"
#include "base/threads.h"
#include "corpus/corpus.h"
#include "kernels/product.h"
#include "model/checkpoint.h"
#include "model/shape.h"
#include "model/streaming.h"
#include "model/tensors.h"
#include "store/check_store.h"
#include "store/codebook.h"
#include "store/frame_store.h"
#include "store/kaldi_table.h"
#include "store/npy.h"
#include "store/product_codebook.h"
#include "store/safetensors.h"

namespace retort {
namespace {

// One kind of artifact: how to know it, and what to say of it.
struct Kind {
  std::string name;
  std::function<bool(const std::filesystem::path&)> is;
  std::function<Json(const std::filesystem::path&)> describe;
  std::function<std::vector<std::string>(const std::filesystem::path&)> check;
  std::function<Json(const std::filesystem::path&)> made_from;
};

bool holds(const std::filesystem::path& folder, const char* file) {
  return std::filesystem::exists(folder / file);
}

// Checks that consist of reading: what reading throws is the problem.
template <class Read>
std::vector<std::string> problem_of(const Read& read) {
  try {
    read();
    return {};
  } catch (const Error& error) {
    return {error.what()};
  }
}

Json describe_corpus(const std::filesystem::path& path) {
  const Corpus corpus = Corpus::read(path);
  std::map<int, int64_t> rates;
  int64_t commands = 0;
  for (const Utterance& utterance : corpus.utterances()) {
    ++rates[utterance.rate];
    if (is_audio_command(utterance.path)) ++commands;
  }
  Json by_rate = Json::object();
  for (const auto& [rate, count] : rates) by_rate[std::to_string(rate)] = count;
  Json json = {{"hash", corpus.hash()},
               {"utterances", corpus.size()},
               {"hours", corpus.seconds() / 3600},
               {"rates", by_rate}};
  if (commands > 0) json["commands"] = commands;  // which whoever reads the audio will run
  return json;
}

std::vector<std::string> check_corpus(const std::filesystem::path& path) {
  std::vector<std::string> problems;
  const Corpus corpus = Corpus::read(path);
  for (const Utterance& utterance : corpus.utterances())
    for (const std::string& problem : problem_of([&] { load_utterance(utterance); }))
      problems.push_back(problem);
  return problems;
}

Json describe_store(const std::filesystem::path& path) {
  const FrameStore store = FrameStore::open(path);
  Json json = store.info().to_json();
  json.erase("kind");
  json["content"] = store.info().kind == StoreKind::labels ? "labels" : "features";
  json["hash"] = store.hash();
  json["utterances"] = store.utterances().size();
  json["frames"] = store.frames();
  return json;
}

Json store_made_from(const std::filesystem::path& path) {
  const FrameStore store = FrameStore::open(path);
  Json made = store.info().origin.to_json();
  if (!store.info().codebook.empty()) made["codebook"] = store.info().codebook;
  return made;
}

Json describe_codebook(const std::filesystem::path& path) {
  Json json = is_product_codebook(path) ? read_product_codebook(path).report : read_codebook(path).report;
  json.erase("sizes");
  json.erase("curve");
  return json;
}

Json codebook_made_from(const std::filesystem::path& path) {
  const FrameOrigin origin =
      is_product_codebook(path) ? read_product_codebook(path).origin : read_codebook(path).origin;
  return origin.to_json();
}

// How far behind speech that comes in a model can follow it, or what keeps it from that.
void add_streaming(const ModelConfig& config, Json& json) {
  const std::string obstacle = obstacle_to_streaming(config);
  if (obstacle.empty())
    json["latency"] = algorithmic_latency(config);
  else
    json["cannot_stream"] = obstacle;
}

Json describe_model(const std::filesystem::path& path) {
  const ModelWeights model = read_model(path);
  const ParameterCount parameters = count_parameters(model.config);
  Json json = {{"hash", model.hash()},
               {"parameters", parameters.backbone},
               {"parameters_with_heads", parameters.total},
               {"by_role", parameters.by_role},
               {"layers", model.config.layers},
               {"hidden", model.config.hidden},
               {"hop", model.config.stride()},
               {"wave_norm", model.config.wave_norm}};
  if (model.config.classes > 0) json["classes"] = model.config.classes;
  add_streaming(model.config, json);
  return json;
}

// A recipe leaves the sizes of its heads to teacher and labels; these are HuBERT Base's.
constexpr int usual_teacher_width = 768;
constexpr int usual_classes = 500;

Json describe_recipe(const std::filesystem::path& path) {
  const Json recipe = read_json(path);
  ModelConfig student = parse_shape(recipe.at("student"), path.string() + ": student");
  Json assumed = Json::object();
  if (!student.prediction.layers.empty()) {
    student.prediction.dim = usual_teacher_width;
    student.prediction.inner = student.hidden;
    assumed["teacher_width"] = usual_teacher_width;
  } else {
    student.classes = usual_classes;
    assumed["classes"] = usual_classes;
  }
  const ParameterCount parameters = count_parameters(student);
  Json json = {{"name", recipe.value("name", Json())},
               {"objective", recipe.at("objective")},
               {"parameters", parameters.backbone},
               {"parameters_with_heads", parameters.total},
               {"assumed", assumed},
               {"by_role", parameters.by_role}};
  add_streaming(student, json);
  return json;
}

Json model_made_from(const std::filesystem::path& path) {
  return read_model(path).provenance;
}

Json describe_run(const std::filesystem::path& path) {
  const Json config = read_json(path / "config.json");
  Json json = {{"recipe", config.at("recipe").at("name")},
               {"steps", config.at("recipe").at("schedule").at("steps")},
               {"finished", holds(path / "student", "config.json")}};
  if (holds(path, "log.jsonl")) {
    const std::vector<std::string> lines = read_lines(path / "log.jsonl");
    if (!lines.empty()) json["latest"] = parse_json(lines.back(), (path / "log.jsonl").string());
  }
  return json;
}

Json run_made_from(const std::filesystem::path& path) {
  const Json config = read_json(path / "config.json");
  return {{"corpus", config.at("corpus")},
          {"labels", config.at("labels")},
          {"init_from", config.at("init_from")}};
}

std::vector<std::string> check_run(const std::filesystem::path& path) {
  if (!holds(path / "student", "config.json"))
    return {path.string() + ": is not finished; the same command goes on"};
  return problem_of([&] { read_model(path / "student"); });
}

// Reads it from end to end, which is its check too: what may be a pipe can be read but once.
Json describe_table(const std::filesystem::path& path) {
  FrameTable table(path.string());
  int64_t utterances = 0, frames = 0;
  for (; const std::optional<TableUtterance> one = table.next(); ++utterances)
    frames += one->frames.rows() + static_cast<int64_t>(one->labels.size());
  const bool labels = table.kind() == StoreKind::labels;
  Json json = {{"content", labels ? "labels" : "features"}, {"utterances", utterances}, {"frames", frames}};
  if (!labels) json["dim"] = table.dim();
  return json;
}

Json describe_npy(const std::filesystem::path& path) {
  const NpyFile file(path);
  return {{"type", file.header().descr}, {"shape", file.header().shape}};
}

Json describe_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  int64_t values = 0;
  for (const auto& [name, tensor] : file.tensors()) values += tensor.count();
  return {{"tensors", file.tensors().size()}, {"values", values}};
}

Json describe_result(const std::filesystem::path& path) {
  return read_json(path);
}

Json nothing(const std::filesystem::path&) {
  return Json::object();
}

Json result_made_from(const std::filesystem::path& path) {
  const Json result = read_json(path);
  Json made = {{"model", result.value("model", Json())}};
  if (result.contains("inputs")) made.update(result.at("inputs"));
  return made;
}

bool is_json_with(const std::filesystem::path& path, const char* key) {
  if (path.extension() != ".json" || !std::filesystem::is_regular_file(path)) return false;
  const Json json = read_json(path);
  return json.is_object() && json.contains(key);
}

bool is_recipe(const std::filesystem::path& path) {
  return is_json_with(path, "student") && is_json_with(path, "objective");
}

template <class Describe>
std::vector<std::string> check_by(const Describe& describe, const std::filesystem::path& path) {
  return problem_of([&] { describe(path); });
}

// In the order they are tried.
const std::vector<Kind>& kinds() {
  using Path = std::filesystem::path;
  static const std::vector<Kind> all = {
      {"corpus", [](const Path& p) { return p.extension() == ".jsonl"; }, describe_corpus, check_corpus,
       nothing},
      {"kaldi table", [](const Path& p) { return is_table(p.string()); }, describe_table,
       [](const Path&) { return std::vector<std::string>(); }, nothing},
      {"frame store", is_frame_store, describe_store,
       [](const Path& p) { return check_frame_store(p).problems; }, store_made_from},
      {"codebook", [](const Path& p) { return holds(p, "codebook.json"); }, describe_codebook,
       [](const Path& p) { return check_by(describe_codebook, p); }, codebook_made_from},
      {"run", [](const Path& p) { return is_json_with(p / "config.json", "recipe"); }, describe_run,
       check_run, run_made_from},
      {"model", [](const Path& p) { return holds(p, "config.json"); }, describe_model,
       [](const Path& p) { return check_by(describe_model, p); }, model_made_from},
      {"npy array", [](const Path& p) { return p.extension() == ".npy"; }, describe_npy,
       [](const Path& p) { return check_by(describe_npy, p); }, nothing},
      {"safetensors", [](const Path& p) { return p.extension() == ".safetensors"; }, describe_safetensors,
       [](const Path& p) { return check_by(describe_safetensors, p); }, nothing},
      {"recipe", is_recipe, describe_recipe, [](const Path& p) { return check_by(describe_recipe, p); },
       nothing},
      {"result", [](const Path& p) { return is_json_with(p, "task"); }, describe_result,
       [](const Path& p) { return check_by(describe_result, p); }, result_made_from},
  };
  return all;
}

const Kind& kind_of(const std::filesystem::path& path) {
  if (!is_table(path.string()) && !std::filesystem::exists(path))
    fail("{}: no such file or folder", path.string());
  for (const Kind& kind : kinds())
    if (kind.is(path)) return kind;
  fail(
      "{}: is no artifact that is known here (corpus, frame store, Kaldi table, codebook, model, run, "
      "recipe, "
      ".npy, .safetensors, result)",
      path.string());
}

// "key: value" lines, nested keys joined by dots.
void add_lines(const Json& json, const std::string& prefix, std::string& text) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object())
      add_lines(value, prefix + key + ".", text);
    else
      text += fmt::format("{:28} {}\n", prefix + key,
                          value.is_string() ? value.get<std::string>() : value.dump());
  }
}

}  // namespace

Json describe_artifact(const InspectOptions& options) {
  const std::filesystem::path path = options.path;
  const Kind& kind = kind_of(path);
  Json json = {{"kind", kind.name}};
  if (options.check) {
    // An artifact that is not whole may not be describable either; its problems say why.
    json["problems"] = kind.check(path);
    if (!json["problems"].empty()) return json;
  }
  json.update(kind.describe(path));
  if (options.lineage) json["made_from"] = kind.made_from(path);
  return json;
}

Json describe_cpu() {
  const CpuPath path = cpu_path();
  Json paths = Json::array();
  for (const CpuPath supported : supported_cpu_paths()) paths.push_back(to_string(supported));
  Json precisions = Json::array();
  for (const Precision precision : {Precision::f32, Precision::bf16, Precision::int8})
    if (has_precision(path, precision)) precisions.push_back(to_string(precision));
  return {{"kind", "cpu"},          {"runs", to_string(path)},
          {"paths", paths},         {"precisions", precisions},
          {"vnni", has_vnni(path)}, {"threads", available_threads()}};
}

namespace {

// Standard output has one line, for the list of a job array, or nothing. Files that no job of the store
// replaces are an error behind it.
void print_repairs(const std::filesystem::path& path, const std::function<void(const std::string&)>& print) {
  if (!is_frame_store(path)) fail("{}: is no frame store, which --repair-list is for", path.string());
  const StoreCheck check = check_frame_store(path);
  for (const std::string& problem : check.problems) log_warning("inspect", "{}", problem);
  if (!check.repair.empty()) print(number_ranges(check.repair) + "\n");
  if (!check.sound() && check.repair.empty()) fail("{}: {}", path.string(), check.problems.front());
}

}  // namespace

void run_inspect(const InspectOptions& options, const std::function<void(const std::string&)>& print) {
  if (options.cpu == !options.path.empty()) fail_usage("either PATH or --cpu is required, not both");
  if (options.cpu && (options.check || options.lineage))
    fail_usage("--cpu: --check and --lineage are of artifacts");
  if (options.repair_list) {
    if (options.cpu || options.check || options.lineage || options.json)
      fail_usage("--repair-list prints one list and nothing else");
    print_repairs(options.path, print);
    return;
  }
  const Json json = options.cpu ? describe_cpu() : describe_artifact(options);
  std::string text;
  add_lines(json, "", text);
  print(options.json ? json.dump(2) + "\n" : text);
  if (options.check && !json["problems"].empty())
    fail("{}: {} (problems found: {})", options.path, json["problems"].front().get<std::string>(),
         json["problems"].size());
}

}  // namespace retort
