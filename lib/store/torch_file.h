// Checkpoints as torch.save writes them: the zip format of PyTorch 1.6 and later, and the one before it. Read
// without Python and without running anything of theirs (store/pickle.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/pickle.h"
#include "store/safetensors.h"

namespace retort {

// An open checkpoint. The constructor reads the pickle; values of tensors are read when asked for, straight
// into what is returned. Not for several threads at once.
class TorchFile {
 public:
  // Refuses, in one line that names the file: tar files of PyTorch 0.1, TorchScript archives, big-endian
  // files, zip entries that overlap or would inflate beyond measure, and every pickle that store/pickle.h
  // refuses.
  explicit TorchFile(const std::filesystem::path& path);
  ~TorchFile();
  TorchFile(TorchFile&&) noexcept;
  TorchFile& operator=(TorchFile&&) noexcept;

  // What torch.load would return.
  const PickleValue& root() const;

  // The tensor's values in row-major order as f32; F64, F32, F16 and BF16 only. `name` is for errors: the
  // view must lie within its storage, the storage must have the declared size, and its bytes the checksum
  // that the file has for them.
  std::vector<float> to_f32(const TorchTensor& tensor, const std::string& name) const;
  // The same for any dtype, as the bytes of the tensor's own type, row-major, little-endian.
  std::vector<std::byte> to_bytes(const TorchTensor& tensor, const std::string& name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True where the file begins as a checkpoint of torch.save does (zip or legacy).
bool is_torch_file(const std::filesystem::path& path);

// Writes a zip checkpoint that torch.load(path, weights_only=True) takes: a dict with the members of `plain`
// (an object) and, under `tensors_key`, an OrderedDict of the tensors in the given order. With an empty
// `tensors_key` the file is the OrderedDict alone and `plain` must be empty. Appears whole or not at all;
// same input, same bytes.
void write_torch_file(const std::filesystem::path& path, const Json& plain, const std::string& tensors_key,
                      const std::vector<TensorToWrite>& tensors);

}  // namespace retort
