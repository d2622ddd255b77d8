#include "onnx/graph_layers.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "model/folded_weights.h"

namespace retort {
namespace {

constexpr int most_level = 127;  // of weights, which are symmetric

// Weights of 8 bits, those of one output after those of another, each output with a scale of its own.
struct QuantisedOutputs {
  std::vector<int8_t> values;
  std::vector<float> scales;
};

QuantisedOutputs quantise_outputs(const std::vector<float>& weight, int64_t outputs) {
  QuantisedOutputs quantised;
  const auto each = static_cast<int64_t>(weight.size()) / outputs;
  for (int64_t o = 0; o < outputs; ++o) {
    float largest = 0;
    for (int64_t i = 0; i < each; ++i)
      largest = std::max(largest, std::abs(weight[static_cast<size_t>(o * each + i)]));
    const float scale = largest > 0 ? largest / static_cast<float>(most_level) : 1.0f;
    quantised.scales.push_back(scale);
    for (int64_t i = 0; i < each; ++i)
      quantised.values.push_back(
          static_cast<int8_t>(std::nearbyint(weight[static_cast<size_t>(o * each + i)] / scale)));
  }
  return quantised;
}

std::vector<Attribute> attributes_of(const GraphLayers::Conv& conv) {
  return {{"kernel_shape", std::vector<int64_t>{conv.shape.back()}},
          {"strides", std::vector<int64_t>{conv.stride}},
          {"pads", std::vector<int64_t>{conv.before, conv.after}},
          {"group", conv.groups}};
}

}  // namespace

std::string to_string(GraphPrecision precision) {
  switch (precision) {
    case GraphPrecision::f32:
      return "f32";
    case GraphPrecision::f16:
      return "f16";
    case GraphPrecision::int8:
      return "int8";
  }
  return "";
}

GraphPrecision parse_graph_precision(const std::string& name) {
  for (const GraphPrecision precision : {GraphPrecision::f32, GraphPrecision::f16, GraphPrecision::int8})
    if (name == to_string(precision)) return precision;
  fail_usage("--dtype {}: should be f32, f16 or int8", name);
}

const std::vector<float>& GraphLayers::tensor(const std::string& name) const {
  static const std::vector<float> none;
  const auto found = model_.tensors.find(name);
  return found == model_.tensors.end() ? none : found->second.values;
}

Value GraphLayers::linear(const Value& x, const std::string& name, const std::vector<float>& weight,
                          const std::vector<float>& bias) {
  const std::string scope = graph_.scope();
  graph_.enter(name);
  const auto out = static_cast<int64_t>(bias.size());
  const int64_t in = static_cast<int64_t>(weight.size()) / out;
  Value y =
      precision_ == GraphPrecision::int8
          ? linear_int8(x, name, weight, in, out)
          : graph_.op("MatMul",
                      {x, graph_.weight(name + ".weight", {in, out}, transposed(weight.data(), out, in))});
  y = graph_.op("Add", {y, graph_.weight(name + ".bias", {out}, bias)});
  graph_.enter(scope);
  return y;
}

Value GraphLayers::linear(const Value& x, const std::string& name) {
  return linear(x, name, tensor(name + ".weight"), tensor(name + ".bias"));
}

// The form that ONNX Runtime makes one node of.
Value GraphLayers::linear_int8(const Value& x, const std::string& name, const std::vector<float>& weight,
                               int64_t in, int64_t out) {
  const QuantisedOutputs quantised = quantise_outputs(weight, out);
  const std::vector<Value> levels = graph_.ops("DynamicQuantizeLinear", {x}, 3);
  const Value matrix =
      graph_.weight_i8(name + ".weight.int8", {in, out}, transposed(quantised.values.data(), out, in));
  const Value sums = graph_.op("MatMulInteger", {levels[0], matrix, levels[2]});
  const Value scales =
      graph_.op("Mul", {levels[1], graph_.weight(name + ".weight.scale", {out}, quantised.scales)});
  return graph_.op("Mul", {graph_.cast(sums, onnx::TensorProto::FLOAT), scales});
}

Value GraphLayers::layer_norm(const Value& x, const std::string& name, int64_t width,
                              const std::vector<float>& weight, const std::vector<float>& bias, double eps) {
  const std::string scope = graph_.scope();
  graph_.enter(name);
  const auto count = static_cast<std::size_t>(width);
  const Value scale =
      graph_.weight(name + ".weight", {width}, weight.empty() ? std::vector<float>(count, 1.0f) : weight);
  const Value shift = graph_.weight(name + ".bias", {width}, bias.empty() ? std::vector<float>(count) : bias);
  Value y;
  if (graph_.opset() >= 17) {
    y = graph_.op("LayerNormalization", {x, scale, shift},
                  {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(eps)}});
  } else {
    const std::vector<Attribute> last = {{"axes", std::vector<int64_t>{-1}}};
    const Value centred = graph_.op("Sub", {x, graph_.op("ReduceMean", {x}, last)});
    const Value variance = graph_.op("ReduceMean", {graph_.op("Mul", {centred, centred})}, last);
    const Value deviation = graph_.op("Sqrt", {graph_.op("Add", {variance, graph_.number(eps)})});
    y = graph_.op("Add", {graph_.op("Mul", {graph_.op("Div", {centred, deviation}), scale}), shift});
  }
  graph_.enter(scope);
  return y;
}

Value GraphLayers::layer_norm(const Value& x, const std::string& name, double eps) {
  const std::vector<float>& weight = tensor(name + ".weight");
  return layer_norm(x, name, static_cast<int64_t>(weight.size()), weight, tensor(name + ".bias"), eps);
}

Value GraphLayers::gelu(const Value& x) {
  const Value erf = graph_.op("Erf", {graph_.op("Div", {x, graph_.number(std::numbers::sqrt2)})});
  const Value twice = graph_.op("Mul", {x, graph_.op("Add", {erf, graph_.number(1)})});
  return graph_.op("Mul", {twice, graph_.number(0.5)});
}

Value GraphLayers::kept_weight(const std::string& name, const std::vector<int64_t>& shape,
                               const std::vector<float>& values, int output_axes) {
  if (precision_ != GraphPrecision::int8) return graph_.weight(name, shape, values);
  const int64_t outputs =
      std::accumulate(shape.begin(), shape.begin() + output_axes, int64_t{1}, std::multiplies<>());
  std::vector<int64_t> flat = {outputs};
  flat.insert(flat.end(), shape.begin() + output_axes, shape.end());
  const QuantisedOutputs quantised = quantise_outputs(values, outputs);
  const Value weight =
      graph_.op("DequantizeLinear",
                {graph_.weight_i8(name + ".int8", flat, quantised.values),
                 graph_.weight_f32(name + ".scale", {outputs}, quantised.scales),
                 graph_.weight_i8(name + ".zero", {outputs}, std::vector<int8_t>(quantised.scales.size()))},
                {{"axis", int64_t{0}}});
  return flat == shape ? weight : graph_.op("Reshape", {weight, graph_.integers(shape)});
}

Value GraphLayers::conv(const Value& x, const Conv& conv) {
  std::vector<Value> inputs = {x, kept_weight(conv.name + ".weight", conv.shape, conv.weight)};
  if (!conv.bias.empty())
    inputs.push_back(graph_.weight(conv.name + ".bias", {conv.shape.front()}, conv.bias));
  return graph_.op("Conv", inputs, attributes_of(conv));
}

}  // namespace retort
