#include "onnx/graph_builder.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "base/error.h"
#include "store/half.h"

namespace retort {
namespace {

static_assert(std::endian::native == std::endian::little, "ONNX keeps raw values in little endian");

void set_shape(const std::vector<Dimension>& shape, onnx::TypeProto_Tensor* tensor) {
  for (const Dimension& dimension : shape) {
    auto* added = tensor->mutable_shape()->add_dim();
    if (const auto* size = std::get_if<int64_t>(&dimension))
      added->set_dim_value(*size);
    else
      added->set_dim_param(std::get<std::string>(dimension));
  }
}

void describe(const std::string& name, onnx::TensorProto_DataType type, const std::vector<Dimension>& shape,
              onnx::ValueInfoProto* info) {
  info->set_name(name);
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  set_shape(shape, tensor);
}

void set_attribute(const Attribute& from, onnx::AttributeProto* to) {
  to->set_name(from.name);
  if (const auto* integer = std::get_if<int64_t>(&from.value)) {
    to->set_type(onnx::AttributeProto::INT);
    to->set_i(*integer);
  } else if (const auto* real = std::get_if<float>(&from.value)) {
    to->set_type(onnx::AttributeProto::FLOAT);
    to->set_f(*real);
  } else if (const auto* text = std::get_if<std::string>(&from.value)) {
    to->set_type(onnx::AttributeProto::STRING);
    to->set_s(*text);
  } else {
    to->set_type(onnx::AttributeProto::INTS);
    for (const int64_t one : std::get<std::vector<int64_t>>(from.value)) to->add_ints(one);
  }
}

template <class Number>
void set_raw(const std::vector<Number>& values, onnx::TensorProto* tensor) {
  tensor->set_raw_data(values.data(), values.size() * sizeof(Number));
}

std::vector<uint16_t> to_f16(const std::string& name, const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = f16_from_f32(values[i]);
    if (std::isinf(f32_from_f16(halves[i])) && !std::isinf(values[i]))
      fail("tensor {}: {} is beyond f16; export as f32", name, values[i]);
  }
  return halves;
}

constexpr int ir_version = 8;  // the format's version that came with opset 15 to 18

}  // namespace

GraphBuilder::GraphBuilder(std::string graph_name, int opset)
    : opset_(opset), graph_(model_.mutable_graph()) {
  model_.set_ir_version(ir_version);
  model_.set_producer_name("retort");
  model_.set_producer_version(RETORT_VERSION);
  model_.add_opset_import()->set_version(opset);
  graph_->set_name(std::move(graph_name));
}

std::string GraphBuilder::unique(const std::string& what) {
  return fmt::format("{}{}{}_{}", scope_, scope_.empty() ? "" : "/", what, named_++);
}

Value GraphBuilder::input(const std::string& name, onnx::TensorProto_DataType type,
                          const std::vector<Dimension>& shape) {
  describe(name, type, shape, graph_->add_input());
  return {name};
}

void GraphBuilder::output(const std::string& name, const Value& value, onnx::TensorProto_DataType type,
                          const std::vector<Dimension>& shape) {
  onnx::NodeProto* node = graph_->add_node();
  node->set_op_type("Identity");
  node->set_name(name);
  node->add_input(value.name);
  node->add_output(name);
  describe(name, type, shape, graph_->add_output());
}

std::vector<Value> GraphBuilder::ops(const std::string& type, const std::vector<Value>& inputs,
                                     std::size_t outputs, const std::vector<Attribute>& attributes) {
  onnx::NodeProto* node = graph_->add_node();
  node->set_op_type(type);
  node->set_name(unique(type));
  for (const Value& value : inputs) node->add_input(value.name);
  for (const Attribute& attribute : attributes) set_attribute(attribute, node->add_attribute());
  std::vector<Value> values;
  for (std::size_t i = 0; i < outputs; ++i) {
    values.push_back({i == 0 ? node->name() : fmt::format("{}.{}", node->name(), i)});
    node->add_output(values.back().name);
  }
  return values;
}

Value GraphBuilder::op(const std::string& type, const std::vector<Value>& inputs,
                       const std::vector<Attribute>& attributes) {
  return ops(type, inputs, 1, attributes).front();
}

onnx::TensorProto* GraphBuilder::add_initializer(const std::string& name, onnx::TensorProto_DataType type,
                                                 const std::vector<int64_t>& shape) {
  onnx::TensorProto* tensor = graph_->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const int64_t size : shape) tensor->add_dims(size);
  return tensor;
}

Value GraphBuilder::number(double value) {
  return weight(unique("number"), {}, {static_cast<float>(value)});
}

Value GraphBuilder::integer(int64_t value) {
  const std::string name = unique("integer");
  set_raw<int64_t>({value}, add_initializer(name, onnx::TensorProto::INT64, {}));
  return {name};
}

Value GraphBuilder::integers(const std::vector<int64_t>& values) {
  const std::string name = unique("integers");
  set_raw(values, add_initializer(name, onnx::TensorProto::INT64, {static_cast<int64_t>(values.size())}));
  return {name};
}

Value GraphBuilder::weight(const std::string& name, const std::vector<int64_t>& shape,
                           const std::vector<float>& values) {
  if (float_type_ == GraphFloat::f32) return weight_f32(name, shape, values);
  set_raw(to_f16(name, values), add_initializer(name, onnx::TensorProto::FLOAT16, shape));
  return {name};
}

Value GraphBuilder::weight_f32(const std::string& name, const std::vector<int64_t>& shape,
                               const std::vector<float>& values) {
  set_raw(values, add_initializer(name, onnx::TensorProto::FLOAT, shape));
  return {name};
}

Value GraphBuilder::weight_i8(const std::string& name, const std::vector<int64_t>& shape,
                              const std::vector<int8_t>& values) {
  set_raw(values, add_initializer(name, onnx::TensorProto::INT8, shape));
  return {name};
}

Value GraphBuilder::weight_u8(const std::string& name, const std::vector<int64_t>& shape,
                              const std::vector<uint8_t>& values) {
  set_raw(values, add_initializer(name, onnx::TensorProto::UINT8, shape));
  return {name};
}

Value GraphBuilder::weight_i32(const std::string& name, const std::vector<int64_t>& shape,
                               const std::vector<int32_t>& values) {
  set_raw(values, add_initializer(name, onnx::TensorProto::INT32, shape));
  return {name};
}

Value GraphBuilder::cast(const Value& value) {
  return cast(value, float_type_ == GraphFloat::f32 ? onnx::TensorProto::FLOAT : onnx::TensorProto::FLOAT16);
}

Value GraphBuilder::cast(const Value& value, onnx::TensorProto_DataType type) {
  return op("Cast", {value}, {{"to", int64_t{type}}});
}

void GraphBuilder::set_metadata(const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto* entry = model_.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

onnx::ModelProto GraphBuilder::finish() {
  return std::move(model_);
}

}  // namespace retort
