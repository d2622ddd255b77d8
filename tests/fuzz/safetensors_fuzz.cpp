// safetensors files.
#include "base/error.h"
#include "fuzz.h"
#include "store/safetensors.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  with_file(data, bytes, [](const std::filesystem::path& path) {
    may_refuse([&] {
      const SafetensorsFile file(path);
      for (const auto& named : file.tensors()) may_refuse([&] { named.second.to_f32(named.first); });
    });
  });
  return 0;
}
