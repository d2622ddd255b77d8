// A model as an ONNX graph.
#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <string>

#include "model/weights.h"
#include "onnx/graph_options.h"

namespace retort {

// Input "waveform" (batch, samples): f32 at 16 kHz as it was recorded; what the model wants done to it first
// is done in the graph. With options.lengths also "lengths" (batch): samples of each row that are no padding;
// rows then get what they get alone, and zeros behind.
// Outputs: each layer by its name, (batch, frames, values) in f32, or with a codebook "units" (batch, frames)
// of 64 bits, -1 behind a row's end. With options.lengths also "<name>.frames" (batch), how many are a row's.
onnx::ModelProto network_graph(const ModelWeights& model, const GraphOptions& options,
                               const std::map<std::string, std::string>& metadata = {});

// What a graph's receiver needs to know, and what tells it from others: hash of the model, layers, hops,
// dtype.
std::map<std::string, std::string> graph_metadata(const ModelWeights& model, const GraphOptions& options);

}  // namespace retort
