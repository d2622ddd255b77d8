#include <fmt/format.h>

#include "model/norm_eps.h"
#include "model/normalise.h"
#include "onnx/network_parts.h"

namespace retort {
Value NetworkGraph::size_of(const Value& value, int64_t axis) {
  return graph_.op("Gather", {graph_.op("Shape", {value}), graph_.integer(axis)});
}

FrameAxis NetworkGraph::axis_of(const std::string& axis, const Value& frames, const Value& like,
                                int64_t time_axis) {
  if (frames.none()) return {axis, {}, {}};
  const Value positions =
      graph_.op("Range", {graph_.integer(0), size_of(like, time_axis), graph_.integer(1)});
  const Value own = graph_.op("Less", {positions, graph_.op("Unsqueeze", {frames, graph_.integers({1})})});
  return {axis, frames, graph_.op("Unsqueeze", {graph_.cast(own), graph_.integers({2})})};
}

Value NetworkGraph::masked(const Value& x, const FrameAxis& time) {
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
        graph_.op("Squeeze", {axis_of("samples", lengths_, waveform, 1).mask, graph_.integers({2})});
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
  x = turned(x);
  conv_time_ = axis_of("frames", conv_time_.frames, x, 1);
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
  Value y = layers_.conv(x, conv);
  if (config_.conv_norm == ConvNorm::layer)
    y = turned(layers_.layer_norm(turned(y), name + ".layer_norm", conv_norm_eps));
  else if (index == 0)
    y = norm_over_time(y, name + ".layer_norm");
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
  const Value own = turned(axis_of("", conv_time_.frames, x, 2).mask);
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

}  // namespace retort
