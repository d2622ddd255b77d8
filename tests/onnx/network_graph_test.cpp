// Graphs of models, run by our evaluator, against the layers of the packages that made the fixtures and
// against the native engine. ONNX Runtime judges them too, where it is at hand
// (tests/tools/test_onnx_oracle.py).
#include "onnx/network_graph.h"

#include <algorithm>
#include <map>

#include "base/files.h"
#include "native/native_model.h"
#include "onnx/evaluator.h"
#include "onnx/onnx_file.h"
#include "parity_fixtures.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

// One row for each waveform, with noise where a row is padded: nothing may come of it.
OnnxModel::Tensors inputs_of(const Waveforms& waveforms, bool lengths) {
  std::size_t longest = 0;
  for (const auto& waveform : waveforms) longest = std::max(longest, waveform.size());
  std::vector<float> samples;
  std::vector<int64_t> counts;
  for (const auto& waveform : waveforms) {
    samples.insert(samples.end(), waveform.begin(), waveform.end());
    for (std::size_t i = waveform.size(); i < longest; ++i) samples.push_back(i % 2 == 0 ? 0.5f : -0.3f);
    counts.push_back(static_cast<int64_t>(waveform.size()));
  }
  const auto batch = static_cast<int64_t>(waveforms.size());
  OnnxModel::Tensors inputs;
  inputs["waveform"] = OnnxTensor({batch, static_cast<int64_t>(longest)}, samples);
  if (lengths) inputs["lengths"] = OnnxTensor({batch}, counts);
  return inputs;
}

// Row `row` of a layer, as many frames as are its own; what is behind them has to be zero.
Matrix own_frames(const OnnxModel::Tensors& outputs, const std::string& layer, std::size_t row) {
  const OnnxTensor& output = outputs.at(layer);
  const auto count = outputs.find(layer + ".frames");
  const int64_t frames = count == outputs.end() ? output.shape[1] : count->second.as<int64_t>()[row];
  const int64_t size = output.shape[1] * output.shape[2];
  const auto begin = output.as<float>().begin() + static_cast<int64_t>(row) * size;
  Matrix matrix(frames, output.shape[2]);
  std::copy_n(begin, frames * output.shape[2], matrix.data());
  CHECK(std::all_of(begin + frames * output.shape[2], begin + size, [](float value) { return value == 0; }));
  return matrix;
}

OnnxModel graph_of(const ModelWeights& model, const GraphOptions& options) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "model.onnx";
  write_onnx(file, network_graph(model, options));
  check_onnx(file);
  return OnnxModel(file, 2);
}

// The layers of each waveform, by themselves or as rows of one batch.
std::vector<std::vector<Matrix>> run(OnnxModel& graph, const ModelConfig& config, const GraphOptions& options,
                                     const Waveforms& waveforms) {
  std::vector<std::vector<Matrix>> result;
  const auto add_rows = [&](const Waveforms& batch) {
    const OnnxModel::Tensors outputs = graph.run(inputs_of(batch, options.lengths));
    for (std::size_t row = 0; row < batch.size(); ++row) {
      result.emplace_back();
      for (const Layer& layer : options.layers)
        result.back().push_back(own_frames(outputs, layer.name(), row));
    }
  };
  if (options.lengths)
    add_rows(waveforms);
  else
    for (const std::vector<float>& waveform : waveforms) {
      if (static_cast<int64_t>(waveform.size()) >= least_samples(options.layers, config))
        add_rows({waveform});
      else
        result.emplace_back(options.layers.size());  // nothing to compare
    }
  return result;
}

// Cosine of two layers, all frames together.
double cosine(const Matrix& a, const Matrix& b) {
  double product = 0, square_a = 0, square_b = 0;
  for (std::size_t i = 0; i < a.values().size(); ++i) {
    product += static_cast<double>(a.values()[i]) * static_cast<double>(b.values()[i]);
    square_a += static_cast<double>(a.values()[i]) * static_cast<double>(a.values()[i]);
    square_b += static_cast<double>(b.values()[i]) * static_cast<double>(b.values()[i]);
  }
  return product / std::sqrt(square_a * square_b);
}

ModelWeights lstm_model(const std::string& name) {
  return read_model((fs::path(RETORT_FIXTURES) / "lstm" / name).string());
}

}  // namespace

TEST_CASE("graphs compute every layer of every architecture, alone and padded in a batch") {
  for (const Variant& variant : all_variants()) {
    const ModelWeights model = read_weights(variant.open());
    const SafetensorsFile expected(variant.expected());
    GraphOptions options;
    options.layers = variant.layers(model.config);
    for (const bool lengths : {false, true}) {
      options.lengths = lengths;
      OnnxModel graph = graph_of(model, options);
      const auto ours = run(graph, model.config, options, read_clips("none"));  // the graph normalises
      for (std::size_t i = 0; i < options.layers.size(); ++i) {
        INFO(variant.folder.filename() << " " << options.layers[i].name() << (lengths ? " in a batch" : ""));
        CHECK(difference(expected, options.layers[i].name(), ours, i) < 1e-4);
      }
    }
  }
}

TEST_CASE("graphs of LSTM students are the native engine's") {
  for (const char* name : {"both", "forward"}) {
    const ModelWeights model = lstm_model(name);
    const Waveforms waveforms = read_clips(model.config.wave_norm);
    GraphOptions options;
    options.layers = all_layers(model.config);
    const auto theirs = NativeModel(source_of(model), {}).forward(waveforms, options.layers);
    for (const bool lengths : {false, true}) {
      options.lengths = lengths;
      OnnxModel graph = graph_of(model, options);
      const auto ours = run(graph, model.config, options, read_clips("none"));
      for (std::size_t u = 0; u < waveforms.size(); ++u)
        for (std::size_t i = 0; i < options.layers.size(); ++i) {
          INFO(name << " " << options.layers[i].name());
          for (std::size_t v = 0; v < theirs[u][i].values().size(); ++v)
            REQUIRE(ours[u][i].values()[v] == Approx(theirs[u][i].values()[v]).margin(1e-4));
        }
    }
  }
}

TEST_CASE("older operator sets compute the same") {
  const ModelWeights model = read_weights(variant("hf-wavlm-stable").open());
  const SafetensorsFile expected(variant("hf-wavlm-stable").expected());
  GraphOptions options;
  options.layers = variant("hf-wavlm-stable").layers(model.config);
  options.lengths = true;
  for (options.opset = least_opset; options.opset <= most_opset; ++options.opset) {
    OnnxModel graph = graph_of(model, options);
    const auto ours = run(graph, model.config, options, read_clips("none"));
    for (std::size_t i = 0; i < options.layers.size(); ++i)
      CHECK(difference(expected, options.layers[i].name(), ours, i) < 1e-4);
  }
  options.opset = most_opset + 1;
  CHECK_THROWS_WITH(network_graph(model, options), Catch::Contains("should be from 13 to 17"));
}

TEST_CASE("fewer bits stay near") {
  const std::map<GraphPrecision, double> least{{GraphPrecision::f16, 0.9999}, {GraphPrecision::int8, 0.99}};
  for (const char* name : {"hf-hubert-post", "fithubert", "hf-wavlm-post", "fairseq-data2vec"}) {
    const ModelWeights model = read_weights(variant(name).open());
    const Waveforms waveforms = read_clips(model.config.wave_norm);
    GraphOptions options;
    options.layers = {{Layer::Kind::final, 0}};
    const auto theirs = NativeModel(source_of(model), {}).forward({waveforms.back()}, options.layers);
    for (const auto& [precision, bound] : least) {
      options.precision = precision;
      OnnxModel graph = graph_of(model, options);
      INFO(name << " " << to_string(precision));
      CHECK(cosine(run(graph, model.config, options, {read_clips("none").back()})[0][0], theirs[0][0]) >
            bound);
    }
  }
}

TEST_CASE("units are the nearest centroids of normalised frames") {
  const ModelWeights model = lstm_model("both");
  const Waveforms waveforms = read_clips(model.config.wave_norm);
  GraphOptions options;
  options.layers = {{Layer::Kind::enc, 2}};
  options.lengths = true;
  const auto frames = NativeModel(source_of(model), {}).forward(waveforms, options.layers);
  for (const char* kind : {"none", "l2", "meanvar"}) {
    // Some frames as centroids: each is the nearest to itself.
    Codebook codebook;
    codebook.norm.kind = kind;
    const int64_t dim = frames.back()[0].columns();
    if (codebook.norm.kind == "meanvar") {
      codebook.norm.mean.assign(static_cast<std::size_t>(dim), 0.1f);
      codebook.norm.scale.assign(static_cast<std::size_t>(dim), 3.0f);
    }
    const Matrix normed = codebook.norm.applied(frames.back()[0]);
    codebook.centroids = Matrix(5, dim);
    for (int64_t c = 0; c < 5; ++c)
      std::copy_n(normed.row(3 * c).data(), dim, codebook.centroids.row(c).data());
    options.codebook = &codebook;
    OnnxModel graph = graph_of(model, options);
    const OnnxModel::Tensors outputs = graph.run(inputs_of(read_clips("none"), true));
    const OnnxTensor& units = outputs.at("units");
    const auto rows = static_cast<int64_t>(waveforms.size());
    for (int64_t c = 0; c < 5; ++c)
      CHECK(units.as<int64_t>()[static_cast<std::size_t>((rows - 1) * units.shape[1] + 3 * c)] == c);
    const int64_t first_row_frames = outputs.at("units.frames").as<int64_t>()[0];
    CHECK(first_row_frames == frames[0][0].rows());
    CHECK(units.as<int64_t>()[static_cast<std::size_t>(first_row_frames)] == -1);
  }
}

TEST_CASE("weights that f16 cannot hold are named") {
  ModelWeights model = lstm_model("both");
  model.tensors.at("encoder.lstm.0.weight_hh").values[0] = 1e6f;
  GraphOptions options;
  options.layers = {{Layer::Kind::final, 0}};
  options.precision = GraphPrecision::f16;
  CHECK_THROWS_WITH(network_graph(model, options),
                    Catch::Contains("encoder.lstm.0.weight_hh") && Catch::Contains("beyond f16"));
}

TEST_CASE("files that are no ONNX models say so") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "model.onnx";
  const ModelWeights model = lstm_model("forward");
  GraphOptions options;
  options.layers = {{Layer::Kind::final, 0}};
  write_onnx(file, network_graph(model, options, {{"model", "abc"}}));
  CHECK(onnx_metadata(file).at("model") == "abc");
  fs::resize_file(file, fs::file_size(file) / 2);
  CHECK_THROWS_WITH(onnx_metadata(file), Catch::Contains("cut short"));
  CHECK_THROWS(check_onnx(file));
  CHECK_THROWS_WITH(onnx_metadata(folder.path() / "none.onnx"), Catch::Contains("cannot be opened"));
}
