#include "export/onnx_export.h"

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "export/check_audio.h"
#include "export/onnx_check.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "onnx/network_graph.h"
#include "onnx/onnx_file.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

// What is to be made, and of what.
struct Job {
  ModelWeights model;
  std::optional<Codebook> codebook;
  GraphOptions graph;
};

// A codebook of another layer or model is told before there is a graph that would give its units.
void check_codebook(const Job& job) {
  const Layer& layer = job.graph.layers.front();
  FrameOrigin frames;
  frames.model = job.model.hash();
  frames.layer = layer.name();
  frames.wave_norm = job.model.config.wave_norm;
  frames.hop = layer_hop(layer, job.model.config);
  require_same_features(*job.codebook, frames, layer_dim(layer, job.model.config));
}

Job read_job(const ExportOptions& options) {
  Job job;
  job.graph.precision = parse_graph_precision(options.dtype);
  job.graph.opset = options.opset;
  job.graph.lengths = options.lengths;
  if (options.opset < least_opset || options.opset > most_opset)
    fail_usage("--opset {}: should be from {} to {}", options.opset, least_opset, most_opset);
  std::string layers = options.layers;
  if (!options.codebook.empty()) {
    job.codebook = read_codebook(options.codebook);
    if (layers.empty()) layers = job.codebook->origin.layer;
  }
  job.model = read_model(options.model);
  job.graph.layers = parse_layers(layers.empty() ? "final" : layers, job.model.config);
  if (job.codebook) check_codebook(job);
  return job;
}

// What the graph says of itself, which tells one export from another.
std::map<std::string, std::string> expected_metadata(const Job& job, const ExportOptions& options) {
  std::map<std::string, std::string> metadata = graph_metadata(job.model, job.graph);
  if (!options.license.empty()) metadata["license"] = options.license;
  return metadata;
}

// True where the output is this very export.
bool is_there(const ExportOptions& options, const std::map<std::string, std::string>& expected) {
  const fs::path output = options.output;
  if (!fs::exists(output)) return false;
  const fs::path graph = output / "model.onnx";
  if (!fs::exists(graph)) fail("{}: it exists and holds no ONNX model; name another output", options.output);
  if (options.overwrite) return false;
  const std::map<std::string, std::string> there = onnx_metadata(graph);
  for (const auto& [key, value] : expected) {
    const auto found = there.find(key);
    const std::string was = found == there.end() ? "none" : found->second;
    if (was != value)
      fail("{}: it exists and is another export ({} is {}, asked for: {}); --overwrite replaces it",
           options.output, key, was, value);
  }
  return true;
}

onnx::TensorProto to_proto(const std::string& name, const OnnxTensor& tensor) {
  onnx::TensorProto proto;
  proto.set_name(name);
  for (const int64_t size : tensor.shape) proto.add_dims(size);
  if (tensor.type == OnnxType::i64) {
    const std::vector<int64_t>& values = tensor.as<int64_t>();
    proto.set_data_type(onnx::TensorProto::INT64);
    proto.set_raw_data(values.data(), values.size() * sizeof(int64_t));
  } else {
    const std::vector<float>& values = tensor.as<float>();
    proto.set_data_type(onnx::TensorProto::FLOAT);
    proto.set_raw_data(values.data(), values.size() * sizeof(float));
  }
  return proto;
}

// Inputs and what the graph makes of them, in the layout of ONNX's own models: tensors by their numbers.
void write_test_data(const fs::path& folder, OnnxModel& graph, const GraphOptions& options,
                     const std::vector<std::vector<float>>& waveforms) {
  make_folder(folder);
  const auto inputs = graph_inputs(waveforms, options.lengths);
  std::vector<std::string> names = {"waveform"};
  if (options.lengths) names.emplace_back("lengths");
  for (std::size_t i = 0; i < names.size(); ++i)
    write_onnx_tensor(folder / fmt::format("input_{}.pb", i), to_proto(names[i], inputs.at(names[i])));
  names.clear();
  for (const std::string& output : graph_outputs(options)) {
    names.push_back(output);
    if (options.lengths) names.push_back(output + ".frames");
  }
  const auto outputs = graph.run(inputs, names);
  for (std::size_t i = 0; i < names.size(); ++i)
    write_onnx_tensor(folder / fmt::format("output_{}.pb", i), to_proto(names[i], outputs.at(names[i])));
}

// Short ones, and with lengths a padded batch of them.
void write_all_test_data(const fs::path& folder, OnnxModel& graph, const GraphOptions& options,
                         const CheckAudio& audio) {
  constexpr double longest = 3;  // seconds; the data come with the model
  const std::vector<std::vector<float>> waveforms = audio.up_to(longest);
  int set = 0;
  for (const std::vector<float>& waveform : waveforms)
    write_test_data(folder / fmt::format("test_data_set_{}", set++), graph, options, {waveform});
  if (options.lengths && waveforms.size() > 1)
    write_test_data(folder / fmt::format("test_data_set_{}", set), graph, options, waveforms);
}

// How near the graph comes, and to what.
Json check(OnnxModel& graph, const ExportOptions& options, const GraphOptions& graph_options,
           const CheckAudio& audio) {
  Json outputs = check_graph(graph, options.model, graph_options, audio, options.threads);
  for (const auto& [name, difference] : outputs.items())
    log_info("export", "{}: {}", name, difference.dump());
  return {{"audio", audio.real ? "real" : "made up"},
          {"seconds", audio.seconds()},
          {"dtype", to_string(graph_options.precision)},
          {"outputs", std::move(outputs)}};
}

// An export that is there has its form already; only the codebook, which is not in it, has to be named again.
void refuse_what_exports_say(const ExportOptions& options) {
  const ExportOptions none;
  const char* given = !options.layers.empty()       ? "--layers"
                      : options.dtype != none.dtype ? "--dtype"
                      : options.opset != none.opset ? "--opset"
                      : options.lengths             ? "--lengths"
                      : !options.license.empty()    ? "--license"
                      : options.overwrite           ? "--overwrite"
                                                    : nullptr;
  if (given != nullptr) fail_usage("{}: --verify takes an export as it is; leave {} out", given, given);
}

}  // namespace

void export_to_onnx(const ExportOptions& options) {
  Job job = read_job(options);
  if (job.codebook) job.graph.codebook = &*job.codebook;
  const std::map<std::string, std::string> metadata = expected_metadata(job, options);
  if (is_there(options, metadata)) {
    log_info("export", "{} is there already: nothing to do", options.output);
    return;
  }
  const CheckAudio audio = check_audio(options.audio, least_samples(job.graph.layers, job.model.config));
  make_model_folder(options.output, [&](const fs::path& folder) {
    const fs::path file = folder / "model.onnx";
    write_onnx(file, network_graph(job.model, job.graph, metadata));
    check_onnx(file);
    OnnxModel graph(file, options.threads);
    write_json(folder / "check.json", check(graph, options, job.graph, audio));
    write_all_test_data(folder, graph, job.graph, audio);
  });
  log_info("export", "{}: {} as {}, opset {}, model {}", options.output, job.model.config.type,
           to_string(job.graph.precision), job.graph.opset, metadata.at("model"));
}

void verify_onnx(const ExportOptions& options) {
  refuse_what_exports_say(options);
  const fs::path path = options.verify;
  const fs::path file = fs::is_directory(path) ? path / "model.onnx" : path;
  const std::map<std::string, std::string> metadata = onnx_metadata(file);
  const auto said = [&](const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (said("layers").empty()) fail("{}: it was not made by retort-export", file.string());
  ExportOptions as_made = options;
  as_made.dtype = said("dtype");
  as_made.layers = said("layers");
  Job job = read_job(as_made);
  if (said("codebook").empty() != !job.codebook)
    fail_usage("--codebook: {} {} units; {}", file.string(), job.codebook ? "gives no" : "gives",
               job.codebook ? "leave it out" : "name the codebook that it was made with");
  if (job.codebook) job.graph.codebook = &*job.codebook;
  check_onnx(file);
  OnnxModel graph(file, options.threads);
  job.graph.lengths = said("lengths") == "yes";
  for (const char* key : {"model", "codebook"}) {
    const std::map<std::string, std::string> expected = graph_metadata(job.model, job.graph);
    if (expected.contains(key) && expected.at(key) != said(key))
      fail("{}: made of {} {}, not of {}", file.string(), key, said(key), expected.at(key));
  }
  check(graph, options, job.graph,
        check_audio(options.audio, least_samples(job.graph.layers, job.model.config)));
  log_info("export", "{}: computes what {} does", file.string(), options.model);
}

}  // namespace retort
