// PyTorch's checkpoints, zip and legacy. Bytes within the entries of a zip file are covered by their
// checksums, so views of storages are mostly tried in the legacy format, and pickles by the target of that
// name.
#include "fuzz.h"
#include "store/torch_file.h"

using namespace retort;

namespace {

constexpr int most_tensors = 32;  // read from one input: each may be read up to a limit

void read_tensors(const TorchFile& file, const PickleValue& state_dict) {
  int read = 0;
  for (const auto& named : tensors_of(state_dict, "input")) {
    if (++read > most_tensors) return;
    may_refuse([&] { file.to_bytes(named.second, named.first); });
    may_refuse([&] { file.to_f32(named.second, named.first); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  with_file(data, bytes, [](const std::filesystem::path& path) {
    may_refuse([&] {
      const TorchFile file(path);
      may_refuse([&] { plain_json(file.root()); });
      may_refuse([&] { read_tensors(file, file.root()); });
      if (const PickleValue* model = file.root().find("model"))
        may_refuse([&] { read_tensors(file, *model); });
    });
  });
  return 0;
}
