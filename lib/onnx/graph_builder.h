// ONNX graphs, node by node: names, constants and weights are taken care of here.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace retort {

// What a node, an input or a constant gives: a tensor by its name. Empty for an optional input left out.
struct Value {
  std::string name;

  bool none() const { return name.empty(); }
};

struct Attribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

// The size of an axis: a number, or a name where it is only known when the graph runs.
using Dimension = std::variant<int64_t, std::string>;

// The type in which a graph computes and keeps what is not quantised.
enum class GraphFloat { f32, f16 };

class GraphBuilder {
 public:
  // ONNX's operator set `opset`, from 13 on.
  GraphBuilder(std::string graph_name, int opset);

  int opset() const { return opset_; }

  // Names of nodes and of what they give begin with this from here on.
  void enter(const std::string& scope) { scope_ = scope; }
  const std::string& scope() const { return scope_; }
  // Weights, and constants by number(), are of this type from here on. f32 at first.
  void compute_in(GraphFloat type) { float_type_ = type; }
  GraphFloat float_type() const { return float_type_; }

  Value input(const std::string& name, onnx::TensorProto_DataType type, const std::vector<Dimension>& shape);
  void output(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
              const std::vector<Dimension>& shape);

  // A node with one output. Empty inputs are optional ones left out.
  Value op(const std::string& type, const std::vector<Value>& inputs,
           const std::vector<Attribute>& attributes = {});
  // The same with several.
  std::vector<Value> ops(const std::string& type, const std::vector<Value>& inputs, std::size_t outputs,
                         const std::vector<Attribute>& attributes = {});

  Value number(double value);                          // a scalar of the type to compute in
  Value integer(int64_t value);                        // a scalar
  Value integers(const std::vector<int64_t>& values);  // one axis
  Value weight(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values);
  // Weights that stay f32.
  Value weight_f32(const std::string& name, const std::vector<int64_t>& shape,
                   const std::vector<float>& values);
  Value weight_i8(const std::string& name, const std::vector<int64_t>& shape,
                  const std::vector<int8_t>& values);
  Value weight_u8(const std::string& name, const std::vector<int64_t>& shape,
                  const std::vector<uint8_t>& values);

  Value weight_i32(const std::string& name, const std::vector<int64_t>& shape,
                   const std::vector<int32_t>& values);

  Value cast(const Value& value);  // to the type to compute in
  Value cast(const Value& value, onnx::TensorProto_DataType type);

  void set_metadata(const std::string& key, const std::string& value);
  // The graph as a model; the builder is empty then.
  onnx::ModelProto finish();

 private:
  onnx::TensorProto* add_initializer(const std::string& name, onnx::TensorProto_DataType type,
                                     const std::vector<int64_t>& shape);
  std::string unique(const std::string& what);

  int opset_;
  onnx::ModelProto model_;
  onnx::GraphProto* graph_;
  std::string scope_;
  GraphFloat float_type_ = GraphFloat::f32;
  int64_t named_ = 0;
};

}  // namespace retort
