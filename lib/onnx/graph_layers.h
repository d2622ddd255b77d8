// Layers of networks as pieces of a graph, in any of its precisions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/weights.h"
#include "onnx/graph_builder.h"
#include "onnx/graph_options.h"

namespace retort {

class GraphLayers {
 public:
  // Both must outlive it.
  GraphLayers(GraphBuilder& graph, const ModelWeights& model, GraphPrecision precision)
      : graph_(graph), model_(model), precision_(precision) {}

  // A tensor of the model; empty where it has none of this name.
  const std::vector<float>& tensor(const std::string& name) const;

  // x (..., in) times weight (out, in), plus the bias: (..., out).
  Value linear(const Value& x, const std::string& name, const std::vector<float>& weight,
               const std::vector<float>& bias);
  // The same with `name`.weight and `name`.bias of the model.
  Value linear(const Value& x, const std::string& name);

  // LayerNorm over the last axis, of `width` values. Empty weights are ones and zeros.
  Value layer_norm(const Value& x, const std::string& name, int64_t width, const std::vector<float>& weight,
                   const std::vector<float>& bias, double eps);
  Value layer_norm(const Value& x, const std::string& name, double eps);

  // x/2 (1 + erf(x / sqrt 2)).
  Value gelu(const Value& x);

  // A constant weight whose first axes count outputs; in 8 bits where the precision has any.
  Value kept_weight(const std::string& name, const std::vector<int64_t>& shape,
                    const std::vector<float>& values, int output_axes = 1);
  // Convolution over time of x (N, in, T) by weight (out, in / groups, kernel).
  struct Conv {
    std::string name;
    std::vector<int64_t> shape;  // of the weight
    const std::vector<float>& weight;
    const std::vector<float>& bias;  // or empty
    int64_t stride = 1, groups = 1, before = 0, after = 0;
  };
  Value conv(const Value& x, const Conv& conv);

 private:
  Value linear_int8(const Value& x, const std::string& name, const std::vector<float>& weight, int64_t in,
                    int64_t out);

  GraphBuilder& graph_;
  const ModelWeights& model_;
  GraphPrecision precision_;
};

}  // namespace retort
