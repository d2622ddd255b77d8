// What of a model goes into its graph, and in which numbers.
#pragma once

#include <string>
#include <vector>

#include "model/layers.h"
#include "store/codebook.h"

namespace retort {

enum class GraphPrecision {
  f32,
  f16,   // weights, and what is computed behind the first convolution
  int8,  // products with weights of 8 bits and inputs whose range is found as the graph runs; other
         // weights are kept in 8 bits and computed with in f32
};

std::string to_string(GraphPrecision precision);
// A usage Error for another name than "f32", "f16" and "int8".
GraphPrecision parse_graph_precision(const std::string& name);

inline constexpr int least_opset = 13;
inline constexpr int most_opset = 17;

struct GraphOptions {
  int opset = most_opset;
  GraphPrecision precision = GraphPrecision::f32;
  std::vector<Layer> layers;           // outputs, by their names
  const Codebook* codebook = nullptr;  // output "units": labels of the one layer; null: none
  bool lengths = false;                // input "lengths": samples of each row that are not padding
};

}  // namespace retort
