// Whether an ONNX graph computes what the model that it was made of computes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"
#include "export/check_audio.h"
#include "onnx/evaluator.h"
#include "onnx/graph_options.h"

namespace retort {

// How an output of the graph differs from the model's own, over all that was compared.
class OutputDifference {
 public:
  // Frames of a layer, of the same shape.
  void add(const Matrix& graph, const Matrix& model);
  // Labels of frames, as many.
  void add(const std::vector<int64_t>& graph, const std::vector<int32_t>& model);

  double relative() const;     // largest distance of two values, over the RMS of the model's
  double cosine() const;       // of two frames, on average
  double equal_units() const;  // share of labels
  Json to_json() const;
  // Empty where it is as near as the precision promises; else what is not.
  std::string shortcoming(GraphPrecision precision) const;

 private:
  double largest_ = 0, squares_ = 0, cosines_ = 0;
  int64_t values_ = 0, frames_ = 0, units_ = 0, equal_ = 0;
};

// Runs graph and model (read from `model`, computed natively in f32) on the audio, every utterance by itself
// and some in one batch, and compares each output. An Error where one is farther off than `options.precision`
// promises. Returns what was found, by output.
Json check_graph(OnnxModel& graph, const std::string& model, const GraphOptions& options,
                 const CheckAudio& audio, int threads);

// One waveform as a batch, or several, padded with zeros behind.
std::map<std::string, OnnxTensor> graph_inputs(const std::vector<std::vector<float>>& waveforms,
                                               bool with_lengths);

// The names of what the graph gives, by layer.
std::vector<std::string> graph_outputs(const GraphOptions& options);

}  // namespace retort
