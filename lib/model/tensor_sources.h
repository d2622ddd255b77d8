// The tensors of weight files, read when they are asked for.
#pragma once

#include <filesystem>
#include <memory>
#include <set>

#include "model/model_source.h"
#include "store/torch_file.h"

namespace retort {

// Of a .safetensors file or, whatever its name, of a PyTorch file that holds nothing but tensors by name.
TensorSource open_tensors(const std::filesystem::path& path);

// Of a dictionary in a PyTorch file, which stays open as long as the source is there. Entries of the names in
// `others` are passed over, tensors or not.
TensorSource torch_tensors(const std::shared_ptr<const TorchFile>& file, const PickleValue& state_dict,
                           const std::string& where, const std::set<std::string>& others = {});

}  // namespace retort
