#include "onnx/onnx_tensor.h"

#include <fmt/ranges.h>

#include <cstring>
#include <map>
#include <type_traits>

#include "base/files.h"
#include "store/half.h"

namespace retort {
namespace {

using Proto = onnx::TensorProto;

const std::map<int, OnnxType> types = {{Proto::FLOAT, OnnxType::f32},   {Proto::FLOAT16, OnnxType::f16},
                                       {Proto::INT64, OnnxType::i64},   {Proto::INT32, OnnxType::i32},
                                       {Proto::INT8, OnnxType::i8},     {Proto::UINT8, OnnxType::u8},
                                       {Proto::BOOL, OnnxType::boolean}};

OnnxTensor::Values zeros(OnnxType type, int64_t count) {
  const auto size = static_cast<size_t>(count);
  switch (type) {
    case OnnxType::f32:
    case OnnxType::f16:
      return std::vector<float>(size);
    case OnnxType::i64:
      return std::vector<int64_t>(size);
    case OnnxType::i32:
      return std::vector<int32_t>(size);
    case OnnxType::i8:
      return std::vector<int8_t>(size);
    case OnnxType::u8:
    case OnnxType::boolean:
      break;
  }
  return std::vector<uint8_t>(size);
}

// Bytes of a value in a file.
int64_t stored_bytes(OnnxType type) {
  switch (type) {
    case OnnxType::f32:
    case OnnxType::i32:
      return 4;
    case OnnxType::i64:
      return 8;
    case OnnxType::f16:
      return 2;
    case OnnxType::i8:
    case OnnxType::u8:
    case OnnxType::boolean:
      break;
  }
  return 1;
}

// Little-endian bytes to values. Sizes are compared before memory is asked for.
OnnxTensor from_bytes(const std::byte* bytes, std::size_t size, OnnxType type, OnnxShape shape) {
  if (static_cast<int64_t>(size) != value_count(shape) * stored_bytes(type))
    fail("it has {} bytes, which a tensor of {} of shape {} has not", size, to_string(type),
         to_string(shape));
  OnnxTensor tensor(type, std::move(shape));
  if (size == 0) return tensor;
  if (type == OnnxType::f16) {
    for (size_t i = 0; i < tensor.as<float>().size(); ++i) {
      uint16_t half = 0;
      std::memcpy(&half, bytes + 2 * i, sizeof half);
      tensor.as<float>()[i] = f32_from_f16(half);
    }
  } else {
    std::visit([&](auto& values) { std::memcpy(values.data(), bytes, size); }, tensor.values);
  }
  return tensor;
}

// From a list of numbers in the message itself, each within the range of its type.
template <class List>
OnnxTensor from_list(const List& list, OnnxType type, OnnxShape shape) {
  if (list.size() != value_count(shape))
    fail("it has {} values, which is not what its shape {} says", list.size(), to_string(shape));
  OnnxTensor tensor(type, std::move(shape));
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        for (int i = 0; i < list.size(); ++i) values[static_cast<size_t>(i)] = static_cast<T>(list[i]);
      },
      tensor.values);
  return tensor;
}

OnnxTensor from_lists(const Proto& proto, OnnxType type, OnnxShape shape) {
  if (type == OnnxType::f32) return from_list(proto.float_data(), type, std::move(shape));
  if (type == OnnxType::i64) return from_list(proto.int64_data(), type, std::move(shape));
  OnnxTensor tensor = from_list(proto.int32_data(), type, std::move(shape));
  if (type == OnnxType::f16)
    for (int i = 0; i < proto.int32_data_size(); ++i)
      tensor.as<float>()[static_cast<size_t>(i)] = f32_from_f16(static_cast<uint16_t>(proto.int32_data(i)));
  return tensor;
}

int64_t whole_number(const std::string& text) {
  size_t used = 0;
  int64_t value = -1;
  try {
    value = std::stoll(text, &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  if (used != text.size() || value < 0) fail("'{}' should be a number of bytes", one_line(text));
  return value;
}

OnnxTensor from_file(const Proto& proto, const std::filesystem::path& folder, OnnxType type,
                     OnnxShape shape) {
  std::filesystem::path location;
  int64_t offset = 0;
  int64_t length = -1;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = whole_number(entry.value());
    if (entry.key() == "length") length = whole_number(entry.value());
  }
  const std::filesystem::path inside = location.lexically_normal();
  if (location.empty() || location.is_absolute() || *inside.begin() == "..")
    fail("its data is in '{}', which should be a file beside the model", one_line(location.string()));
  const MappedFile file(folder / inside);
  const auto size = static_cast<int64_t>(file.size());
  if (length < 0) length = size - offset;
  if (offset > size || length < 0 || length > size - offset)
    fail("its data goes beyond the end of {}, which is cut short or another file", location.string());
  return from_bytes(file.data() + offset, static_cast<size_t>(length), type, std::move(shape));
}

}  // namespace

std::string to_string(OnnxType type) {
  switch (type) {
    case OnnxType::f32:
      return "float";
    case OnnxType::f16:
      return "float16";
    case OnnxType::i64:
      return "int64";
    case OnnxType::i32:
      return "int32";
    case OnnxType::i8:
      return "int8";
    case OnnxType::u8:
      return "uint8";
    case OnnxType::boolean:
      break;
  }
  return "bool";
}

OnnxType parse_onnx_type(int data_type) {
  const auto found = types.find(data_type);
  if (found != types.end()) return found->second;
  const bool named = Proto::DataType_IsValid(data_type);
  fail("values of type {} are not known here",
       named ? Proto::DataType_Name(static_cast<Proto::DataType>(data_type)) : std::to_string(data_type));
}

std::string to_string(const OnnxShape& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

int64_t value_count(const OnnxShape& shape) {
  constexpr int64_t most = int64_t{1} << 40;  // more than any machine has memory for
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || (size > 0 && count > most / size))
      fail("a tensor cannot have shape {}", to_string(shape));
    count *= size;
  }
  return count;
}

OnnxTensor::OnnxTensor(OnnxType type_, OnnxShape shape_) : type(type_), shape(std::move(shape_)) {
  values = zeros(type, size());
}

OnnxTensor read_onnx_tensor(const Proto& proto, const std::filesystem::path& folder) {
  try {
    const OnnxType type = parse_onnx_type(proto.data_type());
    OnnxShape shape(proto.dims().begin(), proto.dims().end());
    if (proto.data_location() == Proto::EXTERNAL) return from_file(proto, folder, type, std::move(shape));
    if (!proto.has_raw_data()) return from_lists(proto, type, std::move(shape));
    const std::string& raw = proto.raw_data();
    return from_bytes(reinterpret_cast<const std::byte*>(raw.data()), raw.size(), type, std::move(shape));
  } catch (const Error& error) {
    fail("tensor {}: {}", one_line(proto.name()), error.what());
  }
}

}  // namespace retort
