#include "onnx/operators.h"

namespace retort {

const OnnxTensor& OperatorCall::input(std::size_t index) const {
  if (!has(index)) fail("input {} is missing", index);
  return *inputs_[index].tensor;
}

OnnxTensor OperatorCall::take(std::size_t index) {
  return may_take(index) ? std::move(*inputs_[index].tensor) : OnnxTensor(input(index));
}

std::vector<int64_t> OperatorCall::integers(std::size_t index) const {
  if (!has(index)) return {};
  const OnnxTensor& tensor = input(index);
  if (tensor.type != OnnxType::i32) return tensor.as<int64_t>();
  return {tensor.as<int32_t>().begin(), tensor.as<int32_t>().end()};
}

const onnx::AttributeProto* OperatorCall::attribute(std::string_view name,
                                                    onnx::AttributeProto::AttributeType type) const {
  const auto found = std::find_if(node_.attribute().begin(), node_.attribute().end(),
                                  [&](const onnx::AttributeProto& one) { return one.name() == name; });
  if (found == node_.attribute().end()) return nullptr;
  if (found->type() != type)
    fail("attribute {} should be of type {}", name, onnx::AttributeProto::AttributeType_Name(type));
  return &*found;
}

int64_t OperatorCall::integer(std::string_view name, int64_t otherwise) const {
  const onnx::AttributeProto* found = attribute(name, onnx::AttributeProto::INT);
  return found ? found->i() : otherwise;
}

float OperatorCall::real(std::string_view name, float otherwise) const {
  const onnx::AttributeProto* found = attribute(name, onnx::AttributeProto::FLOAT);
  return found ? found->f() : otherwise;
}

std::string OperatorCall::text(std::string_view name, const std::string& otherwise) const {
  const onnx::AttributeProto* found = attribute(name, onnx::AttributeProto::STRING);
  return found ? found->s() : otherwise;
}

std::vector<int64_t> OperatorCall::integers(std::string_view name) const {
  const onnx::AttributeProto* found = attribute(name, onnx::AttributeProto::INTS);
  if (!found) return {};
  return {found->ints().begin(), found->ints().end()};
}

std::vector<float> OperatorCall::reals(std::string_view name) const {
  const onnx::AttributeProto* found = attribute(name, onnx::AttributeProto::FLOATS);
  if (!found) return {};
  return {found->floats().begin(), found->floats().end()};
}

const OperatorTable& onnx_operators() {
  static const OperatorTable table = [] {
    OperatorTable all;
    for (OperatorTable part :
         {elementwise_operators(), shape_operators(), reduction_operators(), quantisation_operators(),
          matrix_operators(), convolution_operators(), recurrent_operators()})
      all.merge(part);
    return all;
  }();
  return table;
}

int64_t axis_of(int64_t axis, int64_t axes) {
  if (axis < -axes || axis >= axes) fail("a tensor of {} axes has no axis {}", axes, axis);
  return axis < 0 ? axis + axes : axis;
}

int64_t sizes_between(const OnnxShape& shape, int64_t first, int64_t last) {
  int64_t product = 1;
  for (int64_t axis = first; axis < last; ++axis) product *= shape[static_cast<size_t>(axis)];
  return product;
}

}  // namespace retort
