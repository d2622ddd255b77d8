#include <fmt/format.h>

#include <cmath>

#include "model/folded_weights.h"
#include "model/norm_eps.h"
#include "model/relative_positions.h"
#include "onnx/network_parts.h"

namespace retort {
namespace {

// Added to the logit of a key that is padding: far below any logit, and within f16.
constexpr double padding_logit = -30000;

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

}  // namespace

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
      const std::string norm = name + ".batch_norm";
      const ScaleAndShift folded =
          folded_batch_norm(tensor(norm + ".weight"), tensor(norm + ".bias"), tensor(norm + ".running_mean"),
                            tensor(norm + ".running_var"));
      y = graph_.op("Mul", {x, graph_.weight(norm + ".weight", {config_.hidden}, folded.scale)});
      y = graph_.op("Add", {y, graph_.weight(norm + ".bias", {config_.hidden}, folded.shift)});
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
Value NetworkGraph::positional_conv(const Value& x, const std::string& name,
                                    const std::vector<float>& weight) {
  const int64_t before = config_.pos_kernel / 2;
  const GraphLayers::Conv conv{
      name,   {config_.hidden, config_.hidden / config_.pos_groups, config_.pos_kernel},
      weight, tensor(name + ".bias"),
      1,      config_.pos_groups,
      before, config_.pos_kernel - 1 - before};
  return turned(layers_.conv(turned(x), conv));
}

// A convolution whose windows do not overlap. What does not fill one is left out, unless zeros do.
Value NetworkGraph::reduce_time(const Value& x) {
  const std::string name = "encoder.time_reduction";
  graph_.enter(name);
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
  const Value y = turned(layers_.conv(turned(in), conv));
  Value frames;
  if (!conv_time_.frames.none()) {
    frames = graph_.op("Div", {conv_time_.frames, graph_.integer(factor)});
    if (config_.time_reduction_fills) frames = graph_.op("Add", {frames, graph_.integer(1)});
  }
  block_time_ = axis_of("block_frames", frames, y, 1);
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
  const int head_size = config_.hidden / config_.heads;
  const float query_scale = 1 / std::sqrt(static_cast<float>(head_size));
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
  const Value keys = graph_.op("Unsqueeze", {turned(block_time_.mask), graph_.integers({1})});
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

}  // namespace retort
