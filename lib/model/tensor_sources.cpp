#include "model/tensor_sources.h"

#include "store/safetensors.h"

namespace retort {

TensorSource open_tensors(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") {
    const auto file = std::make_shared<const TorchFile>(path);
    return torch_tensors(file, file->root(), path.string());
  }
  TensorSource source;
  const auto file = std::make_shared<const SafetensorsFile>(path);
  for (const auto& [name, view] : file->tensors()) {
    source[name] = {view.dtype, view.shape, [file, tensor = &view, key = path.string() + ": " + name] {
                      std::vector<float> values = tensor->to_f32(key);
                      file->forget(*tensor);  // each is read once, and the copy is enough
                      return values;
                    }};
  }
  return source;
}

TensorSource torch_tensors(const std::shared_ptr<const TorchFile>& file, const PickleValue& state_dict,
                           const std::string& where, const std::set<std::string>& others) {
  TensorSource source;
  for (auto& [name, tensor] : tensors_of(state_dict, where, others)) {
    source[name] = {tensor.dtype, tensor.shape,
                    [file, tensor = tensor, key = where + ": " + name] { return file->to_f32(tensor, key); }};
  }
  return source;
}

}  // namespace retort
