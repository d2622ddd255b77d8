// The parts that a network's graph is put together from; network_graph.h is the door.
#pragma once

#include <string>
#include <vector>

#include "onnx/graph_layers.h"

namespace retort {

// Frames of one rate, and which of them are a row's own. Without the input "lengths" all are.
struct FrameAxis {
  std::string name;  // in the shapes of outputs
  Value frames;      // (batch), 64 bits; none without lengths
  Value mask;        // (batch, time, 1): 1 where a frame is the row's own, 0 behind; none without lengths
};

// Weights one after the other.
inline void append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// A graph in the making. Frames are (batch, time, values) but in the conv stack, where time comes last.
class NetworkGraph {
 public:
  NetworkGraph(const ModelWeights& model, const GraphOptions& options)
      : config_(model.config),
        options_(options),
        graph_(model.config.type, options.opset),
        layers_(graph_, model, options.precision) {}

  void build();
  GraphBuilder& graph() { return graph_; }

 private:
  const std::vector<float>& tensor(const std::string& name) const { return layers_.tensor(name); }

  // Sizes and masks.
  Value size_of(const Value& value, int64_t axis);
  FrameAxis axis_of(const std::string& axis, const Value& frames, const Value& like, int64_t time_axis);
  Value masked(const Value& x, const FrameAxis& time);
  Value conv_frames(const Value& frames, const ConvLayerShape& layer);

  // What the network is made of, in order.
  Value normalised(const Value& waveform);
  Value conv_stack(const Value& waveform);
  Value conv_layer(std::size_t index, const Value& x);
  Value norm_over_time(const Value& x, const std::string& name);
  Value project(const Value& x);
  Value positions(const Value& x);
  Value positional_conv(const Value& x, const std::string& name, const std::vector<float>& weight);
  Value reduce_time(const Value& x);
  void run_transformer(Value x);
  Value block(int index, const Value& x);
  Value attention(const std::string& name, int index, const Value& x);
  Value split_heads(const Value& x, const std::vector<int64_t>& axes);
  Value position_bias(const std::string& name, const Value& x);
  Value padding_bias();
  Value relative_biases(const Value& x);
  void run_lstm(const Value& x);
  Value lstm_layer(int index, const Value& x);
  Value joined_directions(const Value& y, const std::vector<int64_t>& order);

  // (N, A, B) to (N, B, A).
  Value turned(const Value& x) {
    return graph_.op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  }

  // Outputs.
  bool wants(const Layer& layer) const;
  void take(const Layer& layer, const Value& x, const FrameAxis& time);
  void take_block(int index, const Value& x);
  Value prediction_head(std::size_t index, const Value& x);
  Value units(const Value& x);
  void put_out(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
               const std::vector<Dimension>& shape, const FrameAxis& time);

  const ModelConfig& config_;
  const GraphOptions& options_;
  GraphBuilder graph_;
  GraphLayers layers_;
  Value lengths_;
  FrameAxis conv_time_, block_time_;
  Value conv_frame_count_;  // of the conv stack, padding included
  Value map_;               // of the last block that had one: (batch, heads, time, time)
  Value map_logits_;        // the same before biases
  Value relative_biases_;   // (heads, time, time)
};

}  // namespace retort
