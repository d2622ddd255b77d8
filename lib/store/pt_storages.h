// The bytes behind the tensors of a PyTorch checkpoint, in both of its formats. Part of store/torch_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "store/pickle.h"

namespace retort {

class TorchStorages {
 public:
  TorchStorages() = default;
  virtual ~TorchStorages() = default;
  TorchStorages(const TorchStorages&) = delete;
  TorchStorages& operator=(const TorchStorages&) = delete;

  // Bytes of the storage; an Error naming `name`, the tensor, if the file has no such storage.
  virtual uint64_t size(const std::string& key, const std::string& name) const = 0;
  // Fills `out` with its bytes from `begin` on, which must lie within it.
  virtual void read(const std::string& key, uint64_t begin, std::span<std::byte> out,
                    const std::string& name) = 0;
};

struct TorchContent {
  Pickle pickle;
  std::unique_ptr<TorchStorages> storages;
};

// The zip format of PyTorch 1.6 and later.
TorchContent open_torch_zip(const std::filesystem::path& path);

// The format before it: pickles of a magic number, a protocol, the writing system, the object and the
// storages' keys; then each storage as its count of elements and their bytes.
TorchContent open_torch_legacy(const std::filesystem::path& path);

// True where the bytes begin as that format does.
bool is_torch_legacy(std::string_view bytes);

}  // namespace retort
