#include <fmt/format.h>

#include <algorithm>

#include "model/folded_weights.h"
#include "onnx/network_parts.h"

namespace retort {
namespace {

std::vector<float> part(const std::vector<float>& all, size_t index, size_t size) {
  return {all.begin() + static_cast<long>(index * size), all.begin() + static_cast<long>((index + 1) * size)};
}

}  // namespace

bool NetworkGraph::wants(const Layer& layer) const {
  return std::find(options_.layers.begin(), options_.layers.end(), layer) != options_.layers.end();
}

void NetworkGraph::take_block(int index, const Value& x) {
  take({Layer::Kind::enc, index}, x, block_time_);
  const Layer final{Layer::Kind::final, 0};
  if (index == config_.layers && wants(final)) {
    const bool norm_ahead = config_.pre_norm && config_.blocks == BlockKind::transformer;
    take(final, norm_ahead ? layers_.layer_norm(x, "encoder.layer_norm", config_.norm_eps) : x, block_time_);
  }
  const PredictionHeads& heads = config_.prediction;
  for (std::size_t i = 0; i < heads.layers.size(); ++i) {
    const bool split = heads.kind == PredictionHeads::Kind::split;
    const Layer layer{Layer::Kind::head, heads.layers[i]};
    if (index != (split ? config_.layers : heads.layers[i]) || !wants(layer)) continue;
    const Value y = prediction_head(i, x);
    FrameAxis time = block_time_;
    if (config_.time_reduction > 1) {
      Value frames;
      if (!conv_time_.frames.none())
        frames = graph_.op("Min",
                           {conv_time_.frames,
                            graph_.op("Mul", {block_time_.frames, graph_.integer(config_.time_reduction)})});
      time = axis_of("head_frames", frames, y, 1);
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
    const std::vector<float> out_in = transposed(in_out.data(), heads.inner, heads.dim);
    const std::string name = fmt::format("heads.{}", heads.layers[index]);
    const Value hidden = layers_.gelu(
        layers_.linear(x, name + ".inner", first, part(tensor("heads.inner.bias"), index, inner)));
    return layers_.linear(hidden, name + ".split", out_in, part(tensor("heads.split.bias"), index, dim));
  }
  const std::string name = fmt::format("heads.{}", heads.layers[index]);
  Value y = x;
  if (config_.time_reduction > 1) {
    const LinearWeights linear =
        upsampler_as_linear(tensor(name + ".upsampler.weight"), tensor(name + ".upsampler.bias"),
                            config_.hidden, config_.time_reduction);
    y = layers_.linear(x, name + ".upsampler", linear.weight, linear.bias);
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
  std::vector<float> offset;
  for (int64_t c = 0; c < clusters; ++c) {
    double square = 0;
    for (const float value : codebook.centroids.row(c))
      square += static_cast<double>(value) * static_cast<double>(value);
    offset.push_back(static_cast<float>(-square / 2));
  }
  const std::vector<float> columns = transposed(codebook.centroids.data(), clusters, dim);
  const Value products = graph_.op("MatMul", {y, graph_.weight("units.centroids", {dim, clusters}, columns)});
  const Value scores = graph_.op("Add", {products, graph_.weight("units.offset", {clusters}, offset)});
  return graph_.op("ArgMax", {scores}, {{"axis", int64_t{-1}}, {"keepdims", int64_t{0}}});
}

void NetworkGraph::take(const Layer& layer, const Value& x, const FrameAxis& time) {
  if (!wants(layer)) return;
  const GraphFloat before = graph_.float_type();
  const std::string scope = graph_.scope();
  graph_.compute_in(GraphFloat::f32);
  const Value frames = before == GraphFloat::f16 ? graph_.cast(x) : x;
  FrameAxis time_f32 = time;
  if (before == GraphFloat::f16 && !time.mask.none()) time_f32.mask = graph_.cast(time.mask);
  if (options_.codebook != nullptr) {
    Value labels = units(frames);
    if (!time_f32.mask.none()) {
      const Value own =
          graph_.op("Squeeze", {graph_.cast(time_f32.mask, onnx::TensorProto::BOOL), graph_.integers({2})});
      labels = graph_.op("Where", {own, labels, graph_.integer(-1)});
    }
    put_out("units", labels, onnx::TensorProto::INT64, {"batch", time.name}, time);
  } else {
    put_out(layer.name(), masked(frames, time_f32), onnx::TensorProto::FLOAT,
            {"batch", time.name, int64_t{layer_dim(layer, config_)}}, time);
  }
  graph_.compute_in(before);
  graph_.enter(scope);
}

void NetworkGraph::put_out(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
                           const std::vector<Dimension>& shape, const FrameAxis& time) {
  graph_.output(name, value, type, shape);
  if (!time.frames.none()) graph_.output(name + ".frames", time.frames, onnx::TensorProto::INT64, {"batch"});
}

}  // namespace retort
