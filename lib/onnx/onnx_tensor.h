// Tensors as ONNX has them, of the element types that networks for speech need.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace retort {

using OnnxShape = std::vector<int64_t>;

// f16 values are in memory as f32 that f16 can hold.
enum class OnnxType { f32, f16, i64, i32, i8, u8, boolean };

// "float", "float16", "int64", ..., as ONNX calls them.
std::string to_string(OnnxType type);
// From a TensorProto::DataType; an Error for one that is not among the above.
OnnxType parse_onnx_type(int data_type);

// "(2, 16000)".
std::string to_string(const OnnxShape& shape);
// Values in a tensor of this shape; an Error where a size is negative or they are too many.
int64_t value_count(const OnnxShape& shape);

template <class T>
struct OnnxTypeOf;
template <>
struct OnnxTypeOf<float> {
  static constexpr OnnxType type = OnnxType::f32;
};
template <>
struct OnnxTypeOf<int64_t> {
  static constexpr OnnxType type = OnnxType::i64;
};
template <>
struct OnnxTypeOf<int32_t> {
  static constexpr OnnxType type = OnnxType::i32;
};
template <>
struct OnnxTypeOf<int8_t> {
  static constexpr OnnxType type = OnnxType::i8;
};
template <>
struct OnnxTypeOf<uint8_t> {
  static constexpr OnnxType type = OnnxType::u8;
};

struct OnnxTensor {
  // Row-major; truth values are uint8_t of 0 and 1.
  using Values = std::variant<std::vector<float>, std::vector<int64_t>, std::vector<int32_t>,
                              std::vector<int8_t>, std::vector<uint8_t>>;

  OnnxType type = OnnxType::f32;
  OnnxShape shape;  // empty: a single value
  Values values;

  OnnxTensor() = default;
  // Zeros.
  OnnxTensor(OnnxType type_, OnnxShape shape_);
  // As many values as the shape says.
  template <class T>
  OnnxTensor(OnnxShape shape_, std::vector<T> values_)
      : type(OnnxTypeOf<T>::type), shape(std::move(shape_)), values(std::move(values_)) {}

  int64_t axes() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const { return value_count(shape); }

  // Its values, which must be of this type in memory.
  template <class T>
  std::vector<T>& as() {
    require<T>();
    return std::get<std::vector<T>>(values);
  }
  template <class T>
  const std::vector<T>& as() const {
    require<T>();
    return std::get<std::vector<T>>(values);
  }

 private:
  template <class T>
  void require() const {
    if (!std::holds_alternative<std::vector<T>>(values))
      fail("a tensor of {} where one of {} belongs", to_string(type), to_string(OnnxTypeOf<T>::type));
  }
};

// A tensor out of a model or a file of its own. Those kept outside of the model lie in files below `folder`.
// An Error names the tensor that is not whole.
OnnxTensor read_onnx_tensor(const onnx::TensorProto& proto, const std::filesystem::path& folder);

}  // namespace retort
