// .npy files.
#include "fuzz.h"
#include "store/npy.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  with_file(data, bytes,
            [](const std::filesystem::path& path) { may_refuse([&] { read_npy_matrix(path); }); });
  return 0;
}
