#include "onnx/network_graph.h"

#include <fmt/ranges.h>

#include "audio/waveform.h"
#include "base/error.h"
#include "onnx/network_parts.h"

namespace retort {

// Blocks take what the conv stack gives, each what the one before it gave.
void NetworkGraph::build() {
  const Value waveform = graph_.input("waveform", onnx::TensorProto::FLOAT, {"batch", "samples"});
  if (options_.lengths) lengths_ = graph_.input("lengths", onnx::TensorProto::INT64, {"batch"});
  const Value x = project(conv_stack(normalised(waveform)));
  if (config_.blocks == BlockKind::lstm)
    run_lstm(x);
  else
    run_transformer(x);
}

namespace {

void check_options(const GraphOptions& options) {
  if (options.opset < least_opset || options.opset > most_opset)
    fail_usage("--opset {}: should be from {} to {}", options.opset, least_opset, most_opset);
  if (options.codebook != nullptr && options.layers.size() != 1)
    fail_usage("--codebook: labels the frames of one layer; name it with --layers");
}

}  // namespace

std::map<std::string, std::string> graph_metadata(const ModelWeights& model, const GraphOptions& options) {
  std::vector<std::string> names;
  std::vector<int> hops;
  for (const Layer& layer : options.layers) {
    names.push_back(layer.name());
    hops.push_back(layer_hop(layer, model.config));
  }
  std::map<std::string, std::string> metadata = {
      {"model", model.hash()},
      {"model_type", model.config.type},
      {"dtype", to_string(options.precision)},
      {"opset", std::to_string(options.opset)},
      {"lengths", options.lengths ? "yes" : "no"},
      {"sample_rate", std::to_string(model_rate)},
      {"layers", fmt::format("{}", fmt::join(names, ","))},
      {"hops", fmt::format("{}", fmt::join(hops, ","))},
      {"least_samples", std::to_string(least_samples(options.layers, model.config))},
      {"waveform_normalisation", model.config.wave_norm},
  };
  if (options.codebook != nullptr) {
    metadata["codebook"] = options.codebook->hash();
    metadata["units"] = std::to_string(options.codebook->clusters());
  }
  return metadata;
}

onnx::ModelProto network_graph(const ModelWeights& model, const GraphOptions& options,
                               const std::map<std::string, std::string>& metadata) {
  check_options(options);
  NetworkGraph network(model, options);
  network.build();
  for (const auto& [key, value] : metadata) network.graph().set_metadata(key, value);
  return network.graph().finish();
}

}  // namespace retort
