#include <fmt/format.h>

#include "onnx/network_parts.h"

namespace retort {
namespace {

// PyTorch's order of gates (input, forget, cell, output) as ONNX has them: input, output, forget, cell.
std::vector<float> reorder_gates(const std::vector<float>& gates) {
  constexpr size_t from[] = {0, 3, 1, 2};
  const size_t each = gates.size() / 4;
  std::vector<float> ordered;
  for (const size_t gate : from)
    ordered.insert(ordered.end(), gates.begin() + static_cast<long>(gate * each),
                   gates.begin() + static_cast<long>((gate + 1) * each));
  return ordered;
}

}  // namespace

void NetworkGraph::run_lstm(const Value& x) {
  block_time_ = conv_time_;
  take_block(0, x);
  Value steps =
      graph_.op("Transpose", {x}, {{"perm", std::vector<int64_t>{1, 0, 2}}});  // (time, batch, values)
  const int count = blocks_for(options_.layers, config_);
  for (int i = 0; i < count; ++i) {
    const Value y = lstm_layer(i, steps);
    if (i + 1 < count) steps = joined_directions(y, {0, 2, 1, 3});
    // Not by turning steps once more: ONNX Runtime 1.31 crashes over that in f16, with units behind it.
    take_block(i + 1, joined_directions(y, {2, 0, 1, 3}));
  }
}

// (time, directions, batch, units), with axes as `order` says, the last two as one.
Value NetworkGraph::joined_directions(const Value& y, const std::vector<int64_t>& order) {
  const Value rows = graph_.op("Transpose", {y}, {{"perm", order}});
  return graph_.op("Reshape", {rows, graph_.integers({0, 0, config_.hidden})});
}

// (time, directions, batch, units) of x (time, batch, values).
Value NetworkGraph::lstm_layer(int index, const Value& x) {
  const std::string name = fmt::format("encoder.lstm.{}", index);
  graph_.enter(name);
  std::vector<float> input, recurrent, bias;
  int64_t directions = 0;
  for (const char* suffix : {"", "_reverse"}) {
    if (*suffix != 0 && !config_.bidirectional) break;
    ++directions;
    const auto gates = [&](const char* tensor_name) {
      return reorder_gates(tensor(fmt::format("{}.{}{}", name, tensor_name, suffix)));
    };
    append(input, gates("weight_ih"));
    append(recurrent, gates("weight_hh"));
    append(bias, gates("bias_ih"));
    append(bias, gates("bias_hh"));
  }
  const int64_t units = config_.lstm_hidden;
  const int64_t in = static_cast<int64_t>(input.size()) / (directions * 4 * units);
  Value steps;
  if (!conv_time_.frames.none())
    steps = graph_.cast(graph_.op("Max", {conv_time_.frames, graph_.integer(1)}), onnx::TensorProto::INT32);
  return graph_
      .ops(
          "LSTM",
          {x, layers_.kept_weight(name + ".weight_ih", {directions, 4 * units, in}, input, 2),
           layers_.kept_weight(name + ".weight_hh", {directions, 4 * units, units}, recurrent, 2),
           graph_.weight(name + ".bias", {directions, 8 * units}, bias), steps},
          1,
          {{"hidden_size", units}, {"direction", std::string(directions == 2 ? "bidirectional" : "forward")}})
      .front();
}

}  // namespace retort
