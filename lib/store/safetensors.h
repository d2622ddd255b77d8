// The safetensors format: reading refuses whatever its reference reader refuses, and duplicate names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"

namespace retort {

struct TensorView {
  std::string dtype;  // "F32", "F16", "BF16", "I64", ...
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;

  int64_t count() const;
  // Values as f32; F64, F32, F16 and BF16 only.
  std::vector<float> to_f32(const std::string& name) const;
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Lets the system take back the memory of a tensor that was read; it can be read again.
  void forget(const TensorView& tensor) const { file_.forget(tensor.data, tensor.bytes); }

 private:
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A tensor to be written; `data` must outlive the call that writes it.
struct TensorToWrite {
  std::string name;
  std::string dtype = "F32";
  std::vector<int64_t> shape;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

// Writes atomically, in the reference writer's order (alignment descending, then name), with metadata
// {"format":"pt"}.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors);

// The same with bytes that need not be in memory together: asked for of one tensor after another, in the
// file's order, and used before the next.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::function<const void*(const TensorToWrite&)>& data_of);

}  // namespace retort
