#include <array>
#include <cstring>
#include <fstream>
#include <unordered_map>

#include "base/error.h"
#include "store/half.h"
#include "store/pt_storages.h"
#include "store/torch_file.h"

namespace retort {
namespace {

// A tensor may repeat few elements often (stride 0); beyond this many it would be a bomb.
constexpr int64_t most_repeated = 1 << 20;

std::size_t item_bytes(const std::string& dtype, const std::string& where) {
  static const std::unordered_map<std::string, std::size_t> sizes = {
      {"F64", 8},  {"F32", 4}, {"F16", 2},   {"BF16", 2},    {"I64", 8},    {"I32", 4},
      {"I16", 2},  {"I8", 1},  {"U64", 8},   {"U32", 4},     {"U16", 2},    {"U8", 1},
      {"BOOL", 1}, {"C64", 8}, {"C128", 16}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  const auto found = sizes.find(dtype);
  if (found == sizes.end()) fail("{}: dtype {} is not supported", where, dtype);
  return found->second;
}

// A tensor's place in its storage, checked: every element lies within.
struct View {
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;
  std::size_t item = 1;  // bytes of an element
  int64_t count = 0;
  int64_t first = 0;  // elements of the storage that are looked at: [first, first + span)
  int64_t span = 0;

  // Row-major without gaps; strides of single rows do not matter.
  bool contiguous() const {
    int64_t expected = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (shape[i] != 1 && stride[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }
};

View checked_view(const TorchTensor& tensor, uint64_t storage_bytes, const std::string& where) {
  View view{tensor.shape, tensor.stride, item_bytes(tensor.dtype, where), tensor.count(), tensor.offset, 0};
  const auto stored = static_cast<int64_t>(storage_bytes / view.item);
  bool outside = tensor.offset < 0 || tensor.offset > stored || tensor.stride.size() != tensor.shape.size();
  if (view.count > 0 && !outside) {
    view.span = 1;
    for (std::size_t i = 0; i < view.shape.size(); ++i) {
      if (view.shape[i] == 1) view.stride[i] = 0;  // never taken, and may be anything
      int64_t reach = 0;
      outside = outside || view.stride[i] < 0 ||
                __builtin_mul_overflow(view.shape[i] - 1, view.stride[i], &reach) ||
                __builtin_add_overflow(view.span, reach, &view.span);
    }
    outside = outside || view.span > stored - view.first;
  }
  if (outside)
    fail("{}: its sizes, strides and offset reach outside of its storage of {} elements", where, stored);
  if (view.count > stored && view.count > most_repeated)
    fail("{}: has {} elements out of a storage of {}; refused", where, view.count, stored);
  return view;
}

// Puts the elements of a strided view side by side.
void gather(const View& view, const std::byte* from, std::byte* to) {
  std::vector<int64_t> index(view.shape.size(), 0);
  int64_t at = 0;
  for (int64_t done = 0; done < view.count; ++done) {
    std::memcpy(to + static_cast<std::size_t>(done) * view.item,
                from + static_cast<std::size_t>(at) * view.item, view.item);
    for (std::size_t i = index.size(); i-- > 0;) {
      at += view.stride[i];
      if (++index[i] < view.shape[i]) break;
      at -= view.shape[i] * view.stride[i];
      index[i] = 0;
    }
  }
}

// Widens 16-bit floats that stand at the end of the memory of as many 32-bit ones: the value that is written
// never reaches one that is still to be read.
template <class Convert>
void widen_in_place(std::vector<float>& values, Convert to_float) {
  const std::byte* narrow =
      reinterpret_cast<const std::byte*>(values.data()) + values.size() * sizeof(uint16_t);
  for (std::size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, narrow + i * sizeof bits, sizeof bits);
    values[i] = to_float(bits);
  }
}

std::string first_bytes(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) fail("{}: is a folder, a file was expected", path.string());
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))
    fail("{}: is a pipe or a device; a checkpoint is read from a file, which can be sought in",
         path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file)
    fail("{}: {}", path.string(), std::filesystem::exists(path) ? "cannot be opened" : "no such file");
  std::string bytes(512, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

bool is_zip(std::string_view bytes) {
  return bytes.starts_with("PK\x03\x04");
}

bool is_tar(std::string_view bytes) {
  return bytes.size() >= 262 && bytes.substr(257, 5) == "ustar";
}

TorchContent open_content(const std::filesystem::path& path) {
  const std::string begin = first_bytes(path);
  if (is_zip(begin)) return open_torch_zip(path);
  if (is_tar(begin))
    fail("{}: is a tar file, as PyTorch 0.1 wrote them; load and save it again with a newer PyTorch",
         path.string());
  return open_torch_legacy(path);
}

}  // namespace

struct TorchFile::State {
  std::string name;
  TorchContent content;

  std::string place(const std::string& tensor) const { return fmt::format("{}: {}", name, one_line(tensor)); }

  View view(const TorchTensor& tensor, const std::string& tensor_name) const {
    return checked_view(tensor, content.storages->size(tensor.storage, tensor_name), place(tensor_name));
  }

  // Writes the elements of the view, row-major and in their own type, to `out`, which has just that size.
  void read(const View& view, const TorchTensor& tensor, const std::string& tensor_name,
            std::byte* out) const {
    if (view.count == 0) return;
    const uint64_t begin = static_cast<uint64_t>(view.first) * view.item;
    if (view.contiguous()) {
      content.storages->read(tensor.storage, begin, {out, static_cast<std::size_t>(view.count) * view.item},
                             tensor_name);
      return;
    }
    std::vector<std::byte> spanned(static_cast<std::size_t>(view.span) * view.item);
    content.storages->read(tensor.storage, begin, spanned, tensor_name);
    gather(view, spanned.data(), out);
  }
};

TorchFile::TorchFile(const std::filesystem::path& path)
    : state_(new State{path.string(), open_content(path)}) {}
TorchFile::~TorchFile() = default;
TorchFile::TorchFile(TorchFile&&) noexcept = default;
TorchFile& TorchFile::operator=(TorchFile&&) noexcept = default;

const PickleValue& TorchFile::root() const {
  return state_->content.pickle.root();
}

std::vector<std::byte> TorchFile::to_bytes(const TorchTensor& tensor, const std::string& name) const {
  const View view = state_->view(tensor, name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(view.count) * view.item);
  state_->read(view, tensor, name, bytes.data());
  return bytes;
}

std::vector<float> TorchFile::to_f32(const TorchTensor& tensor, const std::string& name) const {
  const bool half = tensor.dtype == "F16" || tensor.dtype == "BF16";
  if (!half && tensor.dtype != "F32" && tensor.dtype != "F64")
    fail("{}: is {}, a float type was expected", state_->place(name), tensor.dtype);
  const View view = state_->view(tensor, name);
  std::vector<float> values(static_cast<std::size_t>(view.count));
  auto* memory = reinterpret_cast<std::byte*>(values.data());
  if (tensor.dtype == "F64") {
    std::vector<double> wide(values.size());
    state_->read(view, tensor, name, reinterpret_cast<std::byte*>(wide.data()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(wide[i]);
    return values;
  }
  state_->read(view, tensor, name, half ? memory + values.size() * sizeof(uint16_t) : memory);
  if (tensor.dtype == "F16") widen_in_place(values, f32_from_f16);
  if (tensor.dtype == "BF16") widen_in_place(values, f32_from_bf16);
  return values;
}

bool is_torch_file(const std::filesystem::path& path) {
  const std::string begin = first_bytes(path);
  return is_zip(begin) || is_torch_legacy(begin);
}

}  // namespace retort
