#include "store/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/json.h"
#include "store/half.h"

namespace retort {
namespace {

constexpr uint64_t largest_header = 100'000'000;

std::size_t dtype_size(const std::string& dtype, const std::string& where) {
  static const std::map<std::string, std::size_t> sizes = {
      {"F64", 8},  {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4}, {"F16", 2},
      {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}};
  const auto found = sizes.find(dtype);
  if (found == sizes.end()) fail("{}: dtype {} is not known", where, one_line(dtype));
  return found->second;
}

// Parses the header, refusing what the JSON library lets pass: a name that is there twice.
Json parse_header(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto callback = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      fail("{}: {} is there twice", where, one_line(value.get<std::string>()));
    return true;
  };
  Json header = Json::parse(text, callback, false);
  if (!header.is_object()) fail("{}: the safetensors header is no JSON object", where);
  return header;
}

struct Placed {
  TensorView view;
  std::size_t begin = 0;
  std::size_t end = 0;
};

Placed parse_tensor(const Json& entry, const std::byte* data, std::size_t data_bytes,
                    const std::string& where) {
  Placed placed;
  placed.view.dtype = json_get<std::string>(entry, "dtype", where);
  placed.view.shape = json_get<std::vector<int64_t>>(entry, "shape", where);
  const auto offsets = json_get<std::vector<uint64_t>>(entry, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
    fail("{}: its data_offsets lie outside of the file", where);
  uint64_t bytes = dtype_size(placed.view.dtype, where);
  for (const int64_t size : placed.view.shape)
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes))
      fail("{}: its shape is impossible", where);
  if (bytes != offsets[1] - offsets[0])
    fail("{}: has {} bytes, its shape wants {}", where, offsets[1] - offsets[0], bytes);
  placed.begin = offsets[0];
  placed.end = offsets[1];
  placed.view.data = data + offsets[0];
  placed.view.bytes = bytes;
  return placed;
}

template <class Bits, class Convert>
std::vector<float> convert(const TensorView& view, Convert to_float) {
  std::vector<float> values(static_cast<std::size_t>(view.count()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, view.data + i * sizeof(Bits), sizeof(Bits));
    values[i] = to_float(bits);
  }
  return values;
}

}  // namespace

int64_t TensorView::count() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::vector<float> TensorView::to_f32(const std::string& name) const {
  if (dtype == "F32") return convert<float>(*this, [](float value) { return value; });
  if (dtype == "F64") return convert<double>(*this, [](double value) { return static_cast<float>(value); });
  if (dtype == "F16") return convert<uint16_t>(*this, f32_from_f16);
  if (dtype == "BF16") return convert<uint16_t>(*this, f32_from_bf16);
  fail("tensor {}: is {}, a float type was expected", one_line(name), dtype);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string where = path.string();
  uint64_t header_bytes = 0;
  if (file_.size() < sizeof header_bytes) fail("{}: is no safetensors file (too short)", where);
  std::memcpy(&header_bytes, file_.data(), sizeof header_bytes);
  if (header_bytes > largest_header || header_bytes > file_.size() - sizeof header_bytes)
    fail("{}: is no safetensors file, or cut short (its header should have {} bytes)", where, header_bytes);
  const std::byte* data = file_.data() + sizeof header_bytes + header_bytes;
  const std::size_t data_bytes = file_.size() - sizeof header_bytes - header_bytes;
  const Json header =
      parse_header({reinterpret_cast<const char*>(file_.data()) + sizeof header_bytes, header_bytes}, where);

  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items())
        metadata_[key] = value.is_string() ? value.get<std::string>() : value.dump();
      continue;
    }
    Placed placed = parse_tensor(entry, data, data_bytes, fmt::format("{}: {}", where, one_line(name)));
    ranges.emplace_back(placed.begin, placed.end);
    tensors_.emplace(name, std::move(placed.view));
  }
  std::sort(ranges.begin(), ranges.end());
  std::size_t next = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != next)
      fail("{}: its tensors {} at byte {}", where, begin < next ? "overlap" : "leave a hole", next);
    next = end;
  }
  if (next != data_bytes)
    fail("{}: is cut short or too long ({} bytes of tensors, {} in the file)", where, next, data_bytes);
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors) {
  write_safetensors(path, std::move(tensors), [](const TensorToWrite& tensor) { return tensor.data; });
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::function<const void*(const TensorToWrite&)>& data_of) {
  const std::string where = path.string();
  std::sort(tensors.begin(), tensors.end(), [&](const TensorToWrite& a, const TensorToWrite& b) {
    const std::size_t size_a = dtype_size(a.dtype, where), size_b = dtype_size(b.dtype, where);
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes}}};
    offset += tensor.bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t header_bytes = text.size();
  AtomicFile file(path);
  file.write(&header_bytes, sizeof header_bytes);
  file.write(text);
  for (const TensorToWrite& tensor : tensors) file.write(data_of(tensor), tensor.bytes);
  file.commit();
}

}  // namespace retort
