#include "onnx/network_graph.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "audio/waveform.h"
#include "base/error.h"
#include "model/normalise.h"
#include "model/relative_positions.h"
#include "model/weight_norm.h"
#include "onnx/graph_layers.h"

namespace retort {
namespace {

constexpr double conv_norm_eps = 1e-5;     // of the conv stack's norms, whatever the config says
constexpr double stacked_norm_eps = 1e-5;  // of data2vec's positions, likewise
constexpr double batch_norm_eps = 1e-5;
// Added to the logit of a key that is padding: far below any logit, and within f16.
constexpr double padding_logit = -30000;

// Frames of one rate, and which of them are a row's own. Without the input "lengths" all are.
struct Time {
  std::string axis;  // its name in the shapes of outputs
  Value frames;      // (batch), 64 bits; none without lengths
  Value mask;        // (batch, time, 1): 1 where a frame is the row's own, 0 behind; none without lengths
};

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

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

void append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

std::vector<float> part(const std::vector<float>& all, size_t index, size_t size) {
  return {all.begin() + static_cast<long>(index * size), all.begin() + static_cast<long>((index + 1) * size)};
}

class NetworkGraph {
 public:
  NetworkGraph(const ModelWeights& model, const GraphOptions& options)
      : config_(model.config),
        options_(options),
        graph_(model.config.type, options.opset),
        layers_(graph_, model, options.precision) {}

  void build() {
    const Value waveform = graph_.input("waveform", onnx::TensorProto::FLOAT, {"batch", "samples"});
    if (options_.lengths) lengths_ = graph_.input("lengths", onnx::TensorProto::INT64, {"batch"});
    const Value x = project(conv_stack(normalised(waveform)));
    if (config_.blocks == BlockKind::lstm)
      run_lstm(x);
    else
      run_transformer(x);
  }

  GraphBuilder& graph() { return graph_; }

 private:
  const std::vector<float>& tensor(const std::string& name) const { return layers_.tensor(name); }

  // Sizes and masks.
  Value size_of(const Value& value, int64_t axis);
  Time time_of(const std::string& axis, const Value& frames, const Value& like, int64_t time_axis);
  Value masked(const Value& x, const Time& time);
  Value conv_frames(const Value& frames, const ConvLayerShape& layer);

  // What the network is made of, in order. Frames are (batch, time, values) but in the conv stack, where time
  // comes last.
  Value normalised(const Value& waveform);
  Value conv_stack(const Value& waveform);
  Value conv_layer(std::size_t index, const Value& x);
  Value norm_over_time(const Value& x, const std::string& name);
  Value project(const Value& x);
  Value positions(const Value& x);
  Value positional_conv(const Value& x, const std::string& name, std::vector<float> weight);
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

  // Outputs.
  void take(const Layer& layer, const Value& x, const Time& time);
  void take_block(int index, const Value& x);
  Value prediction_head(std::size_t index, const Value& x);
  Value units(const Value& x);
  void put_out(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
               std::vector<Dimension> shape, const Time& time);

  const ModelConfig& config_;
  const GraphOptions& options_;
  GraphBuilder graph_;
  GraphLayers layers_;
  Value lengths_;
  Time conv_time_, block_time_;
  Value conv_frame_count_;  // of the conv stack, padding included
  Value map_;               // of the last block that had one: (batch, heads, time, time)
  Value map_logits_;        // the same before biases
  Value relative_biases_;   // (heads, time, time)
};

Value NetworkGraph::size_of(const Value& value, int64_t axis) {
  return graph_.op("Gather", {graph_.op("Shape", {value}), graph_.integer(axis)});
}

Time NetworkGraph::time_of(const std::string& axis, const Value& frames, const Value& like,
                           int64_t time_axis) {
  if (frames.none()) return {axis, {}, {}};
  const Value positions =
      graph_.op("Range", {graph_.integer(0), size_of(like, time_axis), graph_.integer(1)});
  const Value own = graph_.op("Less", {positions, graph_.op("Unsqueeze", {frames, graph_.integers({1})})});
  return {axis, frames, graph_.op("Unsqueeze", {graph_.cast(own), graph_.integers({2})})};
}

Value NetworkGraph::masked(const Value& x, const Time& time) {
  return time.mask.none() ? x : graph_.op("Mul", {x, time.mask});
}

// (frames - kernel) / stride + 1, and none where there are fewer than the kernel sees.
Value NetworkGraph::conv_frames(const Value& frames, const ConvLayerShape& layer) {
  if (frames.none()) return {};
  const Value reach = graph_.op("Add", {frames, graph_.integer(layer.stride - layer.kernel)});
  return graph_.op("Div", {graph_.op("Max", {reach, graph_.integer(0)}), graph_.integer(layer.stride)});
}

Value NetworkGraph::normalised(const Value& waveform) {
  if (config_.wave_norm == "none") return waveform;
  graph_.enter("wave_norm");
  const double floor = config_.wave_norm == "zscore" ? zscore_floor : zscore_hf_floor;
  Value centred, variance;
  if (lengths_.none()) {
    const std::vector<Attribute> last = {{"axes", std::vector<int64_t>{-1}}};
    centred = graph_.op("Sub", {waveform, graph_.op("ReduceMean", {waveform}, last)});
    variance = graph_.op("ReduceMean", {graph_.op("Mul", {centred, centred})}, last);
  } else {
    const Value own =
        graph_.op("Squeeze", {time_of("samples", lengths_, waveform, 1).mask, graph_.integers({2})});
    const Value count = graph_.op("Unsqueeze", {graph_.cast(lengths_), graph_.integers({1})});
    const auto mean = [&](const Value& values) {
      const Value sum = graph_.op("ReduceSum", {graph_.op("Mul", {values, own}), graph_.integers({-1})});
      return graph_.op("Div", {sum, count});
    };
    centred = graph_.op("Mul", {graph_.op("Sub", {waveform, mean(waveform)}), own});
    variance = mean(graph_.op("Mul", {centred, centred}));
  }
  return graph_.op("Div", {centred, graph_.op("Sqrt", {graph_.op("Add", {variance, graph_.number(floor)})})});
}

Value NetworkGraph::conv_stack(const Value& waveform) {
  graph_.enter("feature_extractor");
  Value x = graph_.op("Unsqueeze", {waveform, graph_.integers({1})});
  conv_time_ = {"", lengths_, {}};
  for (std::size_t i = 0; i < config_.conv.size(); ++i) {
    conv_time_.frames = conv_frames(conv_time_.frames, config_.conv[i]);
    x = conv_layer(i, x);
    // Samples and norms over time lose too much in f16.
    if (i == 0 && options_.precision == GraphPrecision::f16) {
      graph_.compute_in(GraphFloat::f16);
      x = graph_.cast(x);
    }
  }
  x = graph_.op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  conv_time_ = time_of("frames", conv_time_.frames, x, 1);
  if (config_.prediction.kind == PredictionHeads::Kind::upsampled) conv_frame_count_ = size_of(x, 1);
  take({Layer::Kind::conv, 0}, x, conv_time_);
  return x;
}

Value NetworkGraph::conv_layer(std::size_t index, const Value& x) {
  const std::string name = fmt::format("feature_extractor.conv_layers.{}", index);
  graph_.enter(name);
  const ConvLayerShape& shape = config_.conv[index];
  const int64_t in = index == 0 ? 1 : config_.conv[index - 1].channels;
  const GraphLayers::Conv conv{name + ".conv",
                               {shape.channels, in, shape.kernel},
                               tensor(name + ".conv.weight"),
                               tensor(name + ".conv.bias"),
                               shape.stride};
  Value y = options_.precision == GraphPrecision::int8_static && index > 0
                ? layers_.conv_in_range(x, conv, options_.conv_ranges.at(index))
                : layers_.conv(x, conv);
  if (options_.tap_convs && index > 0) {
    graph_.output(fmt::format("conv{}.in", index), x, onnx::TensorProto::FLOAT, {"batch", in, "time"});
    graph_.output(fmt::format("conv{}.out", index), y, onnx::TensorProto::FLOAT,
                  {"batch", int64_t{shape.channels}, "time"});
  }
  if (config_.conv_norm == ConvNorm::layer) {
    const std::vector<Attribute> turn = {{"perm", std::vector<int64_t>{0, 2, 1}}};
    y = layers_.layer_norm(graph_.op("Transpose", {y}, turn), name + ".layer_norm", conv_norm_eps);
    y = graph_.op("Transpose", {y}, turn);
  } else if (index == 0) {
    y = norm_over_time(y, name + ".layer_norm");
  }
  return layers_.gelu(y);
}

// GroupNorm with a group per channel: mean and variance of a row's own frames.
Value NetworkGraph::norm_over_time(const Value& x, const std::string& name) {
  const auto channels = static_cast<int64_t>(tensor(name + ".weight").size());
  if (lengths_.none()) {
    return graph_.op("InstanceNormalization",
                     {x, graph_.weight(name + ".weight", {channels}, tensor(name + ".weight")),
                      graph_.weight(name + ".bias", {channels}, tensor(name + ".bias"))},
                     {{"epsilon", static_cast<float>(conv_norm_eps)}});
  }
  const Value own = graph_.op("Transpose", {time_of("", conv_time_.frames, x, 2).mask},
                              {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const Value count = graph_.op(
      "Unsqueeze",
      {graph_.cast(graph_.op("Max", {conv_time_.frames, graph_.integer(1)})), graph_.integers({1, 2})});
  const auto mean = [&](const Value& values) {
    return graph_.op("Div", {graph_.op("ReduceSum", {values, graph_.integers({-1})}), count});
  };
  const Value centred = graph_.op("Mul", {graph_.op("Sub", {x, mean(graph_.op("Mul", {x, own}))}), own});
  const Value variance = mean(graph_.op("Mul", {centred, centred}));
  const Value deviation = graph_.op("Sqrt", {graph_.op("Add", {variance, graph_.number(conv_norm_eps)})});
  const Value scale = graph_.weight(name + ".weight", {channels, 1}, tensor(name + ".weight"));
  const Value shift = graph_.weight(name + ".bias", {channels, 1}, tensor(name + ".bias"));
  return graph_.op("Add", {graph_.op("Mul", {graph_.op("Div", {centred, deviation}), scale}), shift});
}

Value NetworkGraph::project(const Value& x) {
  Value y = x;
  if (config_.projection_norm) y = layers_.layer_norm(y, "feature_projection.layer_norm", config_.norm_eps);
  if (config_.projection) y = layers_.linear(y, "feature_projection.projection");
  take({Layer::Kind::proj, 0}, y, conv_time_);
  return y;
}

// Frames behind a row's end are zeros here, as those before its beginning.
Value NetworkGraph::positions(const Value& x) {
  const std::string name = "encoder.pos_conv_embed";
  graph_.enter(name);
  Value y = masked(x, conv_time_);
  switch (config_.positional) {
    case PositionalForm::weight_norm:
      y = positional_conv(y, name + ".conv",
                          weight_normed(tensor(name + ".conv.weight_v"), tensor(name + ".conv.weight_g")));
      return graph_.op("Add", {x, layers_.gelu(y)});
    case PositionalForm::batch_norm: {
      std::vector<float> scale = tensor(name + ".batch_norm.weight");
      std::vector<float> shift = tensor(name + ".batch_norm.bias");
      const std::vector<float>& mean = tensor(name + ".batch_norm.running_mean");
      const std::vector<float>& variance = tensor(name + ".batch_norm.running_var");
      for (size_t c = 0; c < scale.size(); ++c) {
        scale[c] = static_cast<float>(static_cast<double>(scale[c]) /
                                      std::sqrt(static_cast<double>(variance[c]) + batch_norm_eps));
        shift[c] -= mean[c] * scale[c];
      }
      y = graph_.op("Mul", {x, graph_.weight(name + ".batch_norm.weight", {config_.hidden}, scale)});
      y = graph_.op("Add", {y, graph_.weight(name + ".batch_norm.bias", {config_.hidden}, shift)});
      y = positional_conv(masked(y, conv_time_), name + ".conv", tensor(name + ".conv.weight"));
      return graph_.op("Add", {x, layers_.gelu(y)});
    }
    case PositionalForm::stacked:
      for (int i = 0; i < config_.pos_depth; ++i) {
        const std::string layer = fmt::format("{}.layers.{}", name, i);
        y = positional_conv(masked(y, conv_time_), layer + ".conv", tensor(layer + ".conv.weight"));
        y = layers_.gelu(
            layers_.layer_norm(y, layer + ".layer_norm", config_.hidden, {}, {}, stacked_norm_eps));
      }
      return graph_.op("Add", {x, y});
  }
  return {};
}

// As many frames as there were; an even kernel sees one more before than after.
Value NetworkGraph::positional_conv(const Value& x, const std::string& name, std::vector<float> weight) {
  const std::vector<Attribute> turn = {{"perm", std::vector<int64_t>{0, 2, 1}}};
  const int64_t before = config_.pos_kernel / 2;
  const GraphLayers::Conv conv{
      name,   {config_.hidden, config_.hidden / config_.pos_groups, config_.pos_kernel},
      weight, tensor(name + ".bias"),
      1,      config_.pos_groups,
      before, config_.pos_kernel - 1 - before};
  return graph_.op("Transpose", {layers_.conv(graph_.op("Transpose", {x}, turn), conv)}, turn);
}

// A convolution whose windows do not overlap. What does not fill one is left out, unless zeros do.
Value NetworkGraph::reduce_time(const Value& x) {
  const std::string name = "encoder.time_reduction";
  graph_.enter(name);
  const std::vector<Attribute> turn = {{"perm", std::vector<int64_t>{0, 2, 1}}};
  const int64_t factor = config_.time_reduction;
  const Value in = config_.time_reduction_fills ? masked(x, conv_time_) : x;
  const GraphLayers::Conv conv{name,
                               {config_.hidden, config_.hidden, factor},
                               tensor(name + ".weight"),
                               tensor(name + ".bias"),
                               factor,
                               1,
                               0,
                               config_.time_reduction_fills ? factor : 0};
  const Value y = graph_.op("Transpose", {layers_.conv(graph_.op("Transpose", {in}, turn), conv)}, turn);
  Value frames;
  if (!conv_time_.frames.none()) {
    frames = graph_.op("Div", {conv_time_.frames, graph_.integer(factor)});
    if (config_.time_reduction_fills) frames = graph_.op("Add", {frames, graph_.integer(1)});
  }
  block_time_ = time_of("block_frames", frames, y, 1);
  return y;
}

void NetworkGraph::run_transformer(Value x) {
  x = positions(x);
  if (!config_.pre_norm) x = layers_.layer_norm(x, "encoder.layer_norm", config_.norm_eps);
  block_time_ = conv_time_;
  if (config_.time_reduction > 1) x = reduce_time(x);
  take_block(0, x);
  for (int i = 0; i < blocks_for(options_.layers, config_); ++i) {
    x = block(i, x);
    take_block(i + 1, x);
  }
}

Value NetworkGraph::block(int index, const Value& x) {
  const std::string name = fmt::format("encoder.layers.{}", index);
  const std::string attention_norm = name + ".layer_norm", final_norm = name + ".final_layer_norm";
  const auto feed_forward = [&](const Value& in) {
    graph_.enter(name + ".feed_forward");
    const Value up = layers_.gelu(layers_.linear(in, name + ".feed_forward.intermediate_dense"));
    return layers_.linear(up, name + ".feed_forward.output_dense");
  };
  if (config_.pre_norm) {
    const Value in = layers_.layer_norm(x, attention_norm, config_.norm_eps);
    const Value y = graph_.op("Add", {x, attention(name + ".attention", index, in)});
    return graph_.op("Add", {y, feed_forward(layers_.layer_norm(y, final_norm, config_.norm_eps))});
  }
  const Value sum = graph_.op("Add", {x, attention(name + ".attention", index, x)});
  const Value y = layers_.layer_norm(sum, attention_norm, config_.norm_eps);
  return layers_.layer_norm(graph_.op("Add", {y, feed_forward(y)}), final_norm, config_.norm_eps);
}

Value NetworkGraph::split_heads(const Value& x, const std::vector<int64_t>& axes) {
  const Value by_head =
      graph_.op("Reshape", {x, graph_.integers({0, 0, config_.heads, config_.hidden / config_.heads})});
  return graph_.op("Transpose", {by_head}, {{"perm", axes}});
}

Value NetworkGraph::attention(const std::string& name, int index, const Value& x) {
  graph_.enter(name);
  const float query_scale = 1 / std::sqrt(static_cast<float>(config_.hidden / config_.heads));
  Value value;
  if (config_.has_attention_map(index)) {
    std::vector<float> weight = scaled(tensor(name + ".q_proj.weight"), query_scale);
    std::vector<float> bias = scaled(tensor(name + ".q_proj.bias"), query_scale);
    for (const char* projection : {".k_proj", ".v_proj"}) {
      append(weight, tensor(name + projection + ".weight"));
      append(bias, tensor(name + projection + ".bias"));
    }
    const std::vector<Value> parts = graph_.ops(
        "Split", {layers_.linear(x, name + ".qkv_proj", weight, bias)}, 3, {{"axis", int64_t{-1}}});
    map_logits_ =
        graph_.op("MatMul", {split_heads(parts[0], {0, 2, 1, 3}), split_heads(parts[1], {0, 2, 3, 1})});
    value = parts[2];
  } else {
    value = layers_.linear(x, name + ".v_proj");
  }
  if (config_.has_attention_map(index) || config_.relative_buckets > 0) {
    const Value bias = position_bias(name, x);
    const Value logits = bias.none() ? map_logits_ : graph_.op("Add", {map_logits_, bias});
    map_ = graph_.op("Softmax", {logits}, {{"axis", int64_t{-1}}});
  }
  const Value mixed = graph_.op("MatMul", {map_, split_heads(value, {0, 2, 1, 3})});
  const Value rows = graph_.op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  return layers_.linear(graph_.op("Reshape", {rows, graph_.integers({0, 0, config_.hidden})}),
                        name + ".out_proj");
}

// What is added to logits (batch, heads, queries, keys); none where nothing is.
Value NetworkGraph::position_bias(const std::string& name, const Value& x) {
  const Value padding = padding_bias();
  if (config_.relative_buckets == 0) return padding;
  if (relative_biases_.none()) relative_biases_ = relative_biases(x);
  // WavLM (Chen et al. 2022, section 3.1): 2 + r (u c - 1), with gates r and u of the query's own input.
  const int64_t size = config_.hidden / config_.heads;
  constexpr int64_t gates = 2, summed = 4;
  std::vector<float> weight(static_cast<size_t>(size * gates)), bias(gates);
  const std::vector<float>& from = tensor(name + ".gru_rel_pos_linear.weight");  // (8, head size)
  for (int64_t gate = 0; gate < gates; ++gate)
    for (int64_t v = gate * summed; v < (gate + 1) * summed; ++v) {
      bias[static_cast<size_t>(gate)] += tensor(name + ".gru_rel_pos_linear.bias")[static_cast<size_t>(v)];
      for (int64_t i = 0; i < size; ++i)
        weight[static_cast<size_t>(i * gates + gate)] += from[static_cast<size_t>(v * size + i)];
    }
  const Value by_head = split_heads(x, {0, 2, 1, 3});
  Value sums = graph_.op(
      "MatMul", {by_head, graph_.weight(name + ".gru_rel_pos_linear.weight", {size, gates}, weight)});
  sums = graph_.op("Add", {sums, graph_.weight(name + ".gru_rel_pos_linear.bias", {gates}, bias)});
  const std::vector<Value> both =
      graph_.ops("Split", {graph_.op("Sigmoid", {sums})}, gates, {{"axis", int64_t{-1}}});
  const Value constant = graph_.weight(name + ".gru_rel_pos_const", {1, config_.heads, 1, 1},
                                       tensor(name + ".gru_rel_pos_const"));
  const Value inner = graph_.op("Sub", {graph_.op("Mul", {both[1], constant}), graph_.number(1)});
  const Value gate = graph_.op("Add", {graph_.op("Mul", {both[0], inner}), graph_.number(2)});
  const Value relative = graph_.op("Mul", {gate, relative_biases_});
  return padding.none() ? relative : graph_.op("Add", {relative, padding});
}

// (batch, 1, 1, keys).
Value NetworkGraph::padding_bias() {
  if (block_time_.mask.none()) return {};
  const Value keys = graph_.op(
      "Unsqueeze", {graph_.op("Transpose", {block_time_.mask}, {{"perm", std::vector<int64_t>{0, 2, 1}}}),
                    graph_.integers({1})});
  return graph_.op("Mul", {graph_.op("Sub", {graph_.number(1), keys}), graph_.number(padding_logit)});
}

// (heads, queries, keys), from a table of all distances up to the one from which on nothing changes.
Value NetworkGraph::relative_biases(const Value& x) {
  const std::string name = "encoder.layers.0.attention.rel_attn_embed";
  const auto heads = static_cast<size_t>(config_.heads);
  const int64_t farthest = config_.relative_distance;
  const int64_t distances = 2 * farthest + 1;
  std::vector<float> table(heads * static_cast<size_t>(distances));
  for (int64_t distance = -farthest; distance <= farthest; ++distance) {
    const auto bucket = static_cast<size_t>(relative_bucket(config_, distance));
    for (size_t head = 0; head < heads; ++head)
      table[head * static_cast<size_t>(distances) + static_cast<size_t>(distance + farthest)] =
          tensor(name + ".weight")[bucket * heads + head];
  }
  const Value frames = graph_.op("Range", {graph_.integer(0), size_of(x, 1), graph_.integer(1)});
  const Value queries = graph_.op("Unsqueeze", {frames, graph_.integers({1})});
  Value distance = graph_.op("Sub", {frames, queries});
  distance = graph_.op("Max", {distance, graph_.integer(-farthest)});
  distance = graph_.op("Min", {distance, graph_.integer(farthest)});
  return graph_.op("Gather",
                   {graph_.weight(name + ".by_distance", {config_.heads, distances}, table),
                    graph_.op("Add", {distance, graph_.integer(farthest)})},
                   {{"axis", int64_t{1}}});
}

void NetworkGraph::run_lstm(const Value& x) {
  block_time_ = conv_time_;
  take_block(0, x);
  const std::vector<Attribute> turn = {{"perm", std::vector<int64_t>{1, 0, 2}}};
  Value steps = graph_.op("Transpose", {x}, turn);  // (time, batch, values)
  for (int i = 0; i < blocks_for(options_.layers, config_); ++i) {
    steps = lstm_layer(i, steps);
    take_block(i + 1, graph_.op("Transpose", {steps}, turn));
  }
}

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
  const Value y =
      graph_
          .ops("LSTM",
               {x, layers_.kept_weight(name + ".weight_ih", {directions, 4 * units, in}, input, 2),
                layers_.kept_weight(name + ".weight_hh", {directions, 4 * units, units}, recurrent, 2),
                graph_.weight(name + ".bias", {directions, 8 * units}, bias), steps},
               1,
               {{"hidden_size", units},
                {"direction", std::string(directions == 2 ? "bidirectional" : "forward")}})
          .front();  // (time, directions, batch, units)
  const Value rows = graph_.op("Transpose", {y}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  return graph_.op("Reshape", {rows, graph_.integers({0, 0, config_.hidden})});
}

void NetworkGraph::take_block(int index, const Value& x) {
  take({Layer::Kind::enc, index}, x, block_time_);
  const Layer final{Layer::Kind::final, 0};
  const auto wanted = [&](const Layer& layer) {
    return std::find(options_.layers.begin(), options_.layers.end(), layer) != options_.layers.end();
  };
  if (index == config_.layers && wanted(final)) {
    const bool norm_ahead = config_.pre_norm && config_.blocks == BlockKind::transformer;
    take(final, norm_ahead ? layers_.layer_norm(x, "encoder.layer_norm", config_.norm_eps) : x, block_time_);
  }
  const PredictionHeads& heads = config_.prediction;
  for (std::size_t i = 0; i < heads.layers.size(); ++i) {
    const bool split = heads.kind == PredictionHeads::Kind::split;
    const Layer layer{Layer::Kind::head, heads.layers[i]};
    if (index != (split ? config_.layers : heads.layers[i]) || !wanted(layer)) continue;
    const Value y = prediction_head(i, x);
    Time time = block_time_;
    if (config_.time_reduction > 1) {
      Value frames;
      if (!conv_time_.frames.none())
        frames = graph_.op("Min",
                           {conv_time_.frames,
                            graph_.op("Mul", {block_time_.frames, graph_.integer(config_.time_reduction)})});
      time = time_of("head_frames", frames, y, 1);
    }
    take(layer, y, time);
  }
}

Value NetworkGraph::prediction_head(std::size_t index, const Value& x) {
  const PredictionHeads& heads = config_.prediction;
  if (heads.kind == PredictionHeads::Kind::split) {
    const auto inner = static_cast<size_t>(heads.inner);
    const auto dim = static_cast<size_t>(heads.dim);
    const std::vector<float> first =
        part(tensor("heads.inner.weight"), index, inner * static_cast<size_t>(config_.hidden));
    const std::vector<float> in_out = part(tensor("heads.split.weight"), index, inner * dim);
    std::vector<float> out_in(in_out.size());
    for (size_t k = 0; k < inner; ++k)
      for (size_t c = 0; c < dim; ++c) out_in[c * inner + k] = in_out[k * dim + c];
    const std::string name = fmt::format("heads.{}", heads.layers[index]);
    const Value hidden = layers_.gelu(
        layers_.linear(x, name + ".inner", first, part(tensor("heads.inner.bias"), index, inner)));
    return layers_.linear(hidden, name + ".split", out_in, part(tensor("heads.split.bias"), index, dim));
  }
  const std::string name = fmt::format("heads.{}", heads.layers[index]);
  Value y = x;
  if (config_.time_reduction > 1) {
    // A transposed convolution whose windows do not overlap: frame j of a row is the row times weight[:, :,
    // j].
    const auto hidden = static_cast<size_t>(config_.hidden);
    const auto factor = static_cast<size_t>(config_.time_reduction);
    const std::vector<float>& weight = tensor(name + ".upsampler.weight");  // (in, out, factor)
    std::vector<float> out_in(weight.size()), bias;
    for (size_t j = 0; j < factor; ++j) {
      for (size_t out = 0; out < hidden; ++out)
        for (size_t in = 0; in < hidden; ++in)
          out_in[(j * hidden + out) * hidden + in] = weight[(in * hidden + out) * factor + j];
      append(bias, tensor(name + ".upsampler.bias"));
    }
    y = layers_.linear(x, name + ".upsampler", out_in, bias);
    y = graph_.op("Reshape", {y, graph_.integers({0, -1, config_.hidden})});
  }
  if (!tensor(name + ".projection.weight").empty()) y = layers_.linear(y, name + ".projection");
  if (config_.time_reduction == 1) return y;
  // No more than the conv stack has.
  const Value frames = graph_.op("Unsqueeze", {conv_frame_count_, graph_.integers({0})});
  return graph_.op("Slice", {y, graph_.integers({0}), frames, graph_.integers({1})});
}

// The nearest centroid c of x has the largest x c - |c|^2 / 2.
Value NetworkGraph::units(const Value& x) {
  graph_.enter("units");
  const Codebook& codebook = *options_.codebook;
  const int64_t dim = codebook.dim();
  const int64_t clusters = codebook.clusters();
  Value y = x;
  if (codebook.norm.kind == "l2") {
    const Value square = graph_.op("ReduceSum", {graph_.op("Mul", {x, x}), graph_.integers({-1})});
    const Value length = graph_.op("Max", {graph_.op("Sqrt", {square}), graph_.number(1e-30)});
    y = graph_.op("Div", {x, length});
  } else if (codebook.norm.kind == "meanvar") {
    y = graph_.op("Sub", {x, graph_.weight("units.mean", {dim}, codebook.norm.mean)});
    y = graph_.op("Mul", {y, graph_.weight("units.scale", {dim}, codebook.norm.scale)});
  }
  std::vector<float> columns(static_cast<size_t>(dim * clusters)), offset;
  for (int64_t c = 0; c < clusters; ++c) {
    double square = 0;
    for (int64_t d = 0; d < dim; ++d) {
      const float value = codebook.centroids.row(c)[static_cast<size_t>(d)];
      columns[static_cast<size_t>(d * clusters + c)] = value;
      square += static_cast<double>(value) * static_cast<double>(value);
    }
    offset.push_back(static_cast<float>(-square / 2));
  }
  const Value products = graph_.op("MatMul", {y, graph_.weight("units.centroids", {dim, clusters}, columns)});
  const Value scores = graph_.op("Add", {products, graph_.weight("units.offset", {clusters}, offset)});
  return graph_.op("ArgMax", {scores}, {{"axis", int64_t{-1}}, {"keepdims", int64_t{0}}});
}

void NetworkGraph::take(const Layer& layer, const Value& x, const Time& time) {
  if (std::find(options_.layers.begin(), options_.layers.end(), layer) == options_.layers.end()) return;
  const GraphFloat before = graph_.float_type();
  const std::string scope = graph_.scope();
  graph_.compute_in(GraphFloat::f32);
  const Value frames = before == GraphFloat::f16 ? graph_.cast(x) : x;
  Time time_f32 = time;
  if (before == GraphFloat::f16 && !time.mask.none()) time_f32.mask = graph_.cast(time.mask);
  if (options_.codebook != nullptr) {
    Value labels = units(frames);
    if (!time_f32.mask.none()) {
      const Value own =
          graph_.op("Squeeze", {graph_.cast(time_f32.mask, onnx::TensorProto::BOOL), graph_.integers({2})});
      labels = graph_.op("Where", {own, labels, graph_.integer(-1)});
    }
    put_out("units", labels, onnx::TensorProto::INT64, {"batch", time.axis}, time);
  } else {
    put_out(layer.name(), masked(frames, time_f32), onnx::TensorProto::FLOAT,
            {"batch", time.axis, int64_t{layer_dim(layer, config_)}}, time);
  }
  graph_.compute_in(before);
  graph_.enter(scope);
}

void NetworkGraph::put_out(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
                           std::vector<Dimension> shape, const Time& time) {
  graph_.output(name, value, type, shape);
  if (!time.frames.none()) graph_.output(name + ".frames", time.frames, onnx::TensorProto::INT64, {"batch"});
}

void check_options(const ModelWeights& model, const GraphOptions& options) {
  if (options.opset < least_opset || options.opset > most_opset)
    fail_usage("--opset {}: should be from {} to {}", options.opset, least_opset, most_opset);
  if (options.codebook != nullptr && options.layers.size() != 1)
    fail_usage("--codebook: labels the frames of one layer; name it with --layers");
  if (options.precision == GraphPrecision::int8_static &&
      options.conv_ranges.size() != model.config.conv.size())
    fail("int8-static: ranges of {} convolutions are known, the model has {}", options.conv_ranges.size(),
         model.config.conv.size());
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
      {"least_samples", std::to_string(model.config.receptive_field())},
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
  check_options(model, options);
  NetworkGraph network(model, options);
  network.build();
  for (const auto& [key, value] : metadata) network.graph().set_metadata(key, value);
  return network.graph().finish();
}

}  // namespace retort
