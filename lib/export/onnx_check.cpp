#include "export/onnx_check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/threads.h"
#include "encoder/frame_encoder.h"
#include "nearest/assigner.h"

namespace retort {
namespace {

constexpr double longest_batched = 10;  // seconds

struct Promise {
  double relative;     // at most
  double cosine;       // at least
  double equal_units;  // at least
};

Promise promise_of(GraphPrecision precision) {
  switch (precision) {
    case GraphPrecision::f32:
      return {1e-4, 0.9999, 0.999};
    case GraphPrecision::f16:
      return {std::numeric_limits<double>::infinity(), 0.999, 0.99};
    case GraphPrecision::int8:
      return {std::numeric_limits<double>::infinity(), 0.995, 0.98};
  }
  return {};
}

// Row `row` of an output (batch, frames, values), without its padding.
Matrix frames_of(const OnnxTensor& output, std::size_t row, int64_t frames) {
  Matrix matrix(frames, output.shape.at(2));
  const auto begin =
      output.as<float>().begin() + static_cast<int64_t>(row) * output.shape[1] * output.shape[2];
  std::copy_n(begin, frames * output.shape[2], matrix.data());
  return matrix;
}

std::vector<int64_t> units_of(const OnnxTensor& output, std::size_t row, int64_t frames) {
  const auto begin = output.as<int64_t>().begin() + static_cast<int64_t>(row) * output.shape.at(1);
  return {begin, begin + frames};
}

// The model's own outputs for the waveforms that are compared, and labels of them.
class Expected {
 public:
  Expected(const std::string& model, const GraphOptions& options, int threads) : options_(options) {
    EncoderOptions encoder;
    encoder.model = model;
    for (const Layer& layer : options.layers)
      encoder.layers += fmt::format("{}{}", encoder.layers.empty() ? "" : ",", layer.name());
    encoder.threads = threads;
    encoder.window = 0;
    encoder_ = make_frame_encoder(encoder);
    if (options.codebook != nullptr) {
      require_same_features(*options.codebook, encoder_->origin(0), encoder_->outputs().front().dim);
      assigner_ =
          make_native_assigner(options.codebook->centroids, threads > 0 ? threads : available_threads());
    }
  }

  std::vector<Matrix> frames(const std::vector<float>& waveform) const {
    return std::move(encoder_->encode({waveform}).front());
  }

  std::vector<int32_t> units(const Matrix& frames) const {
    std::vector<int32_t> labels(static_cast<std::size_t>(frames.rows()));
    const Matrix rows = options_.codebook->norm.applied(frames);
    assigner_->assign(rows.data(), rows.rows(), labels.data(), nullptr);
    return labels;
  }

 private:
  const GraphOptions& options_;
  std::unique_ptr<FrameEncoder> encoder_;
  std::unique_ptr<Assigner> assigner_;
};

// All that is compared, output by output.
class Comparison {
 public:
  Comparison(OnnxModel& graph, const Expected& expected, const GraphOptions& options)
      : graph_(graph), expected_(expected), options_(options), names_(graph_outputs(options)) {
    differences_.resize(names_.size());
  }

  void add(const std::vector<std::vector<float>>& waveforms) {
    std::vector<std::string> wanted = names_;
    if (options_.lengths)
      for (const std::string& name : names_) wanted.push_back(name + ".frames");
    const auto outputs = graph_.run(graph_inputs(waveforms, options_.lengths), wanted);
    for (std::size_t row = 0; row < waveforms.size(); ++row) {
      const std::vector<Matrix> model = expected_.frames(waveforms[row]);
      for (std::size_t i = 0; i < names_.size(); ++i) add(outputs, i, row, model[i]);
    }
  }

  // The Error, where there is one, names the first output that falls short.
  Json finish(const std::string& where) const {
    Json found = Json::object();
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const std::string shortcoming = shortcoming_of(differences_[i], options_.precision);
      if (!shortcoming.empty())
        fail("{}: output {} does not compute what the model does: {}", where, names_[i], shortcoming);
      found[names_[i]] = differences_[i].to_json();
    }
    return found;
  }

 private:
  void add(const std::map<std::string, OnnxTensor>& outputs, std::size_t index, std::size_t row,
           const Matrix& model) {
    const std::string& name = names_[index];
    const OnnxTensor& output = outputs.at(name);
    const int64_t frames =
        options_.lengths ? outputs.at(name + ".frames").as<int64_t>().at(row) : output.shape.at(1);
    if (frames != model.rows())
      fail("output {} has {} frames where the model has {}", name, frames, model.rows());
    if (options_.codebook != nullptr)
      differences_[index].add(units_of(output, row, frames), expected_.units(model));
    else
      differences_[index].add(frames_of(output, row, frames), model);
  }

  OnnxModel& graph_;
  const Expected& expected_;
  const GraphOptions& options_;
  std::vector<std::string> names_;
  std::vector<OutputDifference> differences_;
};

}  // namespace

std::string shortcoming_of(const OutputDifference& difference, GraphPrecision precision) {
  const Promise promise = promise_of(precision);
  if (!(difference.relative() <= promise.relative))
    return fmt::format("values are {:.2g} of their RMS away, at most {:.2g} is allowed",
                       difference.relative(), promise.relative);
  if (!(difference.cosine() >= promise.cosine))
    return fmt::format("the cosine of frames is {:.5f} on average, at least {} is promised of {}",
                       difference.cosine(), promise.cosine, to_string(precision));
  if (!(difference.equal_units() >= promise.equal_units))
    return fmt::format("{:.2f} % of the units are equal, at least {} % are promised of {}",
                       100 * difference.equal_units(), 100 * promise.equal_units, to_string(precision));
  return "";
}

std::vector<std::string> graph_outputs(const GraphOptions& options) {
  if (options.codebook != nullptr) return {"units"};
  std::vector<std::string> names;
  for (const Layer& layer : options.layers) names.push_back(layer.name());
  return names;
}

std::map<std::string, OnnxTensor> graph_inputs(const std::vector<std::vector<float>>& waveforms,
                                               bool with_lengths) {
  std::size_t longest = 0;
  for (const std::vector<float>& waveform : waveforms) longest = std::max(longest, waveform.size());
  std::vector<float> samples;
  std::vector<int64_t> lengths;
  for (const std::vector<float>& waveform : waveforms) {
    samples.insert(samples.end(), waveform.begin(), waveform.end());
    samples.resize(samples.size() + longest - waveform.size());
    lengths.push_back(static_cast<int64_t>(waveform.size()));
  }
  const auto batch = static_cast<int64_t>(waveforms.size());
  std::map<std::string, OnnxTensor> inputs;
  inputs["waveform"] = OnnxTensor({batch, static_cast<int64_t>(longest)}, std::move(samples));
  if (with_lengths) inputs["lengths"] = OnnxTensor({batch}, std::move(lengths));
  return inputs;
}

Json check_graph(OnnxModel& graph, const std::string& model, const GraphOptions& options,
                 const CheckAudio& audio, int threads) {
  const Expected expected(model, options, threads);
  Comparison comparison(graph, expected, options);
  for (const std::vector<float>& waveform : audio.utterances) comparison.add({waveform});
  std::vector<std::vector<float>> batch = audio.up_to(longest_batched);
  // Without lengths, rows of a batch are as long as each other.
  if (!options.lengths) batch = {batch.back(), {batch.back().rbegin(), batch.back().rend()}};
  comparison.add(batch);
  return comparison.finish(model);
}

}  // namespace retort
