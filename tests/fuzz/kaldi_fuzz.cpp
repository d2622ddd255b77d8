// Kaldi's archives, binary and text; the first byte chooses between an archive and a single value.
#include <sstream>

#include "base/error.h"
#include "fuzz.h"
#include "store/kaldi_value.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  if (bytes == 0) return 0;
  std::stringbuf input(std::string(reinterpret_cast<const char*>(data) + 1, bytes - 1));
  may_refuse([&] {
    if (data[0] % 2 == 1) {
      read_kaldi_value(input);
      return;
    }
    KaldiArchive archive(input);
    while (const auto entry = archive.next()) {
      if (entry->value.kind == KaldiValue::Kind::integers)
        kaldi_bytes(entry->value.integers, true);
      else
        kaldi_bytes(entry->value.matrix, false);
    }
  });
  return 0;
}
