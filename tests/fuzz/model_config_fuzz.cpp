// config.json of a model folder.
#include <fstream>

#include "base/files.h"
#include "fuzz.h"
#include "model/config.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  static const TemporaryFolder folder;
  std::ofstream(folder.path() / "config.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  may_refuse([&] {
    const ModelConfig config = read_model_config(folder.path());
    config.frames(16000);
    config.receptive_field();
    hf_config_json(config).dump(-1, ' ', true);
  });
  return 0;
}
