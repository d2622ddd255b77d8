// Configurations of other toolkits in YAML.
#include <fstream>

#include "base/files.h"
#include "base/yaml.h"
#include "fuzz.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  static const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "config.yaml";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  may_refuse([&] { read_json_or_yaml(path); });
  return 0;
}
