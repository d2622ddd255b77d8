#include "onnx/onnx_file.h"

#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <fstream>

#include "base/error.h"
#include "base/files.h"

namespace retort {
namespace {

// Of weights in one message; what describes them comes on top.
constexpr std::size_t most_message_bytes = std::size_t{1900} << 20;

std::size_t weight_bytes(const onnx::ModelProto& model) {
  std::size_t bytes = 0;
  for (const onnx::TensorProto& tensor : model.graph().initializer()) bytes += tensor.raw_data().size();
  return bytes;
}

void set_external(const std::string& key, const std::string& value, onnx::TensorProto* tensor) {
  onnx::StringStringEntryProto* entry = tensor->add_external_data();
  entry->set_key(key);
  entry->set_value(value);
}

// Larger weights to a file of their own; constants that shapes are inferred from stay.
void move_weights_to(const std::filesystem::path& path, onnx::ModelProto& model) {
  constexpr std::size_t least = 1024;
  AtomicFile file(path);
  for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
    if (tensor.raw_data().size() < least) continue;
    set_external("location", path.filename().string(), &tensor);
    set_external("offset", std::to_string(file.bytes_written()), &tensor);
    set_external("length", std::to_string(tensor.raw_data().size()), &tensor);
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    file.write(tensor.raw_data());
    tensor.clear_raw_data();
  }
  file.commit();
}

std::string serialised(const google::protobuf::MessageLite& message, const std::filesystem::path& path) {
  std::string bytes;
  if (!message.SerializeToString(&bytes))
    fail("{}: it is too large for one message of protobuf", path.string());
  return bytes;
}

}  // namespace

void write_onnx(const std::filesystem::path& path, onnx::ModelProto model) {
  if (weight_bytes(model) > most_message_bytes) move_weights_to(path.string() + ".data", model);
  AtomicFile file(path);
  file.write(serialised(model, path));
  file.commit();
}

void check_onnx(const std::filesystem::path& path) {
  try {
    onnx::checker::check_model(path.string());
    onnx::ModelProto model;
    std::ifstream file(path, std::ios::binary);
    if (!model.ParseFromIstream(&file)) fail("{}: it is no ONNX model", path.string());
    onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(),
                                       onnx::ShapeInferenceOptions{true, 1, false});
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("{}: ONNX's checker objects: {}", path.string(), one_line(error.what()));
  }
}

void write_onnx_tensor(const std::filesystem::path& path, const onnx::TensorProto& tensor) {
  AtomicFile file(path);
  file.write(serialised(tensor, path));
  file.commit();
}

std::map<std::string, std::string> onnx_metadata(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be opened", path.string());
  onnx::ModelProto model;
  if (!model.ParseFromIstream(&file) || !model.has_graph())
    fail("{}: it is no ONNX model, or it is cut short; export it again", path.string());
  std::map<std::string, std::string> metadata;
  for (const onnx::StringStringEntryProto& entry : model.metadata_props())
    metadata[entry.key()] = entry.value();
  return metadata;
}

}  // namespace retort
