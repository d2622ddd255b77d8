// ONNX models as files.
#pragma once

#include <onnx/onnx_pb.h>

#include <filesystem>
#include <map>
#include <string>

namespace retort {

// Writes the model, and beside it, under the same name with ".data" added, what is beyond the two gigabytes
// that one message of protobuf can hold.
void write_onnx(const std::filesystem::path& path, onnx::ModelProto model);

// Holds the file against ONNX's own rules: its checker, and inference of every type and shape. An Error says
// in one line what they object to.
void check_onnx(const std::filesystem::path& path);

// A tensor as a file of its own, as test data of ONNX models is kept.
void write_onnx_tensor(const std::filesystem::path& path, const onnx::TensorProto& tensor);

// What the model says of itself; an Error where the file is no ONNX model or is cut short.
std::map<std::string, std::string> onnx_metadata(const std::filesystem::path& path);

}  // namespace retort
