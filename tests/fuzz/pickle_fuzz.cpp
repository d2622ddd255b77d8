// Pickles, and the plain data and the tensors in them.
#include "fuzz.h"
#include "store/pickle.h"

using namespace retort;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  may_refuse([&] {
    const Pickle pickle({reinterpret_cast<const char*>(data), bytes}, "input");
    may_refuse([&] { plain_json(pickle.root()).dump(-1, ' ', true); });
    may_refuse([&] { tensors_of(pickle.root(), "input"); });
    for (const char* member : {"model", "cfg", "args"})
      if (const PickleValue* value = pickle.root().find(member))
        may_refuse([&] { tensors_of(*value, member); });
  });
  return 0;
}
