// Whether an ONNX graph computes what the model that it was made of computes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "export/check_audio.h"
#include "export/output_difference.h"
#include "onnx/evaluator.h"
#include "onnx/graph_options.h"

namespace retort {

// Empty where an output is as near as the precision promises; else what is not. A NaN is near to nothing.
std::string shortcoming_of(const OutputDifference& difference, GraphPrecision precision);

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
