// What of a model goes into its graph, and in which numbers.
#pragma once

#include <string>
#include <vector>

#include "model/layers.h"
#include "store/codebook.h"

namespace retort {

enum class GraphPrecision {
  f32,
  f16,          // weights, and what is computed behind the first convolution
  int8,         // products with weights of 8 bits and inputs whose range is found as the graph runs; other
                // weights are kept in 8 bits and computed with in f32
  int8_static,  // the same, and convolutions of 8 bits with ranges found before (ConvRanges)
};

std::string to_string(GraphPrecision precision);
// A usage Error for another name than "f32", "f16", "int8" and "int8-static".
GraphPrecision parse_graph_precision(const std::string& name);

struct ValueRange {
  float least = 0;
  float most = 0;
};

// What goes into a convolution of the stack, and what comes out of it before norm and activation.
struct ConvRange {
  ValueRange in, out;
};

inline constexpr int least_opset = 13;
inline constexpr int most_opset = 17;

struct GraphOptions {
  int opset = most_opset;
  GraphPrecision precision = GraphPrecision::f32;
  std::vector<Layer> layers;           // outputs, by their names
  const Codebook* codebook = nullptr;  // output "units": labels of the one layer; null: none
  bool lengths = false;                // input "lengths": samples of each row that are not padding
  std::vector<ConvRange> conv_ranges;  // of int8_static: by convolution; the first one's is not used
  bool tap_convs = false;              // outputs "conv<i>.in" and "conv<i>.out", to find conv_ranges with
};

}  // namespace retort
