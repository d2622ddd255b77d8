#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "store/crc32.h"
#include "store/torch_file.h"

namespace retort {
namespace {

constexpr int deepest = 200;
constexpr uint64_t zip32_limit = std::numeric_limits<uint32_t>::max();
constexpr std::size_t alignment = 64;  // of storages, so that they can be mapped
constexpr std::size_t local_header = 30;
constexpr std::size_t extra_header = 4;

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

// Python's pickle, protocol 2, of plain data and tensors; only opcodes that torch.load's restricted unpickler
// knows.
class PickleWriter {
 public:
  explicit PickleWriter(const std::string& where) : where_(where) { out_.assign("\x80\x02", 2); }

  void text(std::string_view text) {
    if (text.size() > zip32_limit) fail("{}: a text of {} bytes cannot be written", where_, text.size());
    out_ += 'X';
    append_number(out_, static_cast<uint32_t>(text.size()));
    out_ += text;
  }

  void integer(int64_t value) {
    if (std::in_range<int32_t>(value)) {
      out_ += 'J';
      append_number(out_, static_cast<int32_t>(value));
    } else {
      out_ += "\x8a\x08";
      append_number(out_, value);
    }
  }

  void plain(const Json& value, int depth = 0) {
    if (depth > deepest) fail("{}: what is to be written is nested more than {} deep", where_, deepest);
    switch (value.type()) {
      case Json::value_t::boolean:
        out_ += value.get<bool>() ? '\x88' : '\x89';
        break;
      case Json::value_t::number_integer:
        integer(value.get<int64_t>());
        break;
      case Json::value_t::number_unsigned:
        unsigned_integer(value.get<uint64_t>());
        break;
      case Json::value_t::number_float:
        real(value.get<double>());
        break;
      case Json::value_t::string:
        text(value.get_ref<const std::string&>());
        break;
      case Json::value_t::array:
        out_ += "](";
        for (const Json& item : value) plain(item, depth + 1);
        out_ += 'e';
        break;
      case Json::value_t::object:
        out_ += "}(";
        members(value, depth);
        out_ += 'u';
        break;
      default:
        out_ += 'N';
    }
  }

  void members(const Json& object, int depth = 0) {
    for (const auto& [key, member] : object.items()) {
      text(key);
      plain(member, depth + 1);
    }
  }

  void tensor(std::string_view storage_class, const std::string& key, const TensorToWrite& tensor,
              int64_t count) {
    out_ += "ctorch._utils\n_rebuild_tensor_v2\n((";
    text("storage");
    out_ += fmt::format("ctorch\n{}\n", storage_class);
    text(key);
    text("cpu");
    integer(count);
    out_ += "tQ";
    integer(0);
    counts(tensor.shape);
    std::vector<int64_t> strides(tensor.shape.size(), 1);
    for (std::size_t i = strides.size(); i-- > 1;)
      strides[i - 1] = strides[i] * std::max<int64_t>(1, tensor.shape[i]);
    counts(strides);
    out_ += '\x89';
    raw("ccollections\nOrderedDict\n)RtR");
  }

  void raw(std::string_view opcodes) { out_ += opcodes; }
  const std::string& finish() {
    out_ += '.';
    return out_;
  }

 private:
  void unsigned_integer(uint64_t value) {
    if (std::in_range<int64_t>(value)) return integer(static_cast<int64_t>(value));
    out_ += "\x8a\x09";
    append_number(out_, value);
    out_ += '\0';
  }

  void real(double value) {
    out_ += 'G';
    append_number(out_, __builtin_bswap64(std::bit_cast<uint64_t>(value)));
  }

  void counts(const std::vector<int64_t>& values) {
    out_ += '(';
    for (const int64_t value : values) integer(value);
    out_ += 't';
  }

  const std::string& where_;
  std::string out_;
};

// A zip archive of stored entries, written front to back; the same bytes for the same entries.
class StoredZip {
 public:
  explicit StoredZip(const std::filesystem::path& path) : file_(path) {}

  void add(const std::string& name, const void* data, std::size_t bytes) {
    Entry entry{name, crc32_of(0, data, bytes), bytes, file_.bytes_written()};
    file_.write(header_of(entry));
    file_.write(data, bytes);
    entries_.push_back(std::move(entry));
  }

  void commit() {
    write_directory();
    file_.commit();
  }

 private:
  struct Entry {
    std::string name;
    uint32_t crc = 0;
    uint64_t bytes = 0;
    uint64_t offset = 0;

    bool large() const { return bytes >= zip32_limit || offset >= zip32_limit; }
  };

  static uint32_t clipped(uint64_t value) { return static_cast<uint32_t>(std::min(value, zip32_limit)); }

  // What local headers and directory entries have in common, from "version needed" to the length of the name.
  // The time is the first that zip files know, 1980-01-01.
  static void append_common(std::string& out, const Entry& entry) {
    append_number<uint16_t>(out, entry.large() ? 45 : 20);
    append_number<uint16_t>(out, 0x0800);  // names are UTF-8
    append_number<uint16_t>(out, 0);       // stored
    append_number<uint16_t>(out, 0);
    append_number<uint16_t>(out, 0x0021);
    append_number(out, entry.crc);
    append_number(out, clipped(entry.bytes));
    append_number(out, clipped(entry.bytes));
    append_number(out, static_cast<uint16_t>(entry.name.size()));
  }

  // Sizes beyond 32 bits go into a zip64 field; a field of padding aligns the data.
  std::string header_of(const Entry& entry) const {
    std::string extra;
    if (entry.bytes >= zip32_limit) {
      append_number<uint16_t>(extra, 0x0001);
      append_number<uint16_t>(extra, 16);
      append_number(extra, entry.bytes);
      append_number(extra, entry.bytes);
    }
    const uint64_t before = entry.offset + local_header + entry.name.size() + extra.size() + extra_header;
    const std::size_t padding = (alignment - before % alignment) % alignment;
    extra += "FB";
    append_number(extra, static_cast<uint16_t>(padding));
    extra.append(padding, 'Z');
    std::string header = "PK\x03\x04";
    append_common(header, entry);
    append_number(header, static_cast<uint16_t>(extra.size()));
    return header + entry.name + extra;
  }

  void write_directory() {
    const uint64_t begin = file_.bytes_written();
    for (const Entry& entry : entries_) file_.write(directory_entry(entry));
    const uint64_t bytes = file_.bytes_written() - begin;
    constexpr std::size_t most_entries = std::numeric_limits<uint16_t>::max();
    if (begin >= zip32_limit || bytes >= zip32_limit || entries_.size() >= most_entries)
      write_end_64(begin, bytes);
    const auto count = static_cast<uint16_t>(std::min(entries_.size(), most_entries));
    std::string end = "PK\x05\x06";
    append_number<uint32_t>(end, 0);
    append_number(end, count);
    append_number(end, count);
    append_number(end, clipped(bytes));
    append_number(end, clipped(begin));
    append_number<uint16_t>(end, 0);
    file_.write(end);
  }

  static std::string directory_entry(const Entry& entry) {
    std::string extra;
    if (entry.large()) {
      append_number<uint16_t>(extra, 0x0001);
      append_number<uint16_t>(extra, static_cast<uint16_t>((entry.bytes >= zip32_limit ? 16 : 0) +
                                                           (entry.offset >= zip32_limit ? 8 : 0)));
      if (entry.bytes >= zip32_limit) {
        append_number(extra, entry.bytes);
        append_number(extra, entry.bytes);
      }
      if (entry.offset >= zip32_limit) append_number(extra, entry.offset);
    }
    std::string record = "PK\x01\x02";
    append_number<uint16_t>(record, 45);
    append_common(record, entry);
    append_number(record, static_cast<uint16_t>(extra.size()));
    append_number<uint16_t>(record, 0);  // comment
    append_number<uint16_t>(record, 0);  // disk
    append_number<uint16_t>(record, 0);  // attributes
    append_number<uint32_t>(record, 0);
    append_number(record, clipped(entry.offset));
    return record + entry.name + extra;
  }

  void write_end_64(uint64_t begin, uint64_t bytes) {
    const uint64_t offset = file_.bytes_written();
    std::string end = "PK\x06\x06";
    append_number<uint64_t>(end, 44);
    append_number<uint16_t>(end, 45);
    append_number<uint16_t>(end, 45);
    append_number<uint32_t>(end, 0);
    append_number<uint32_t>(end, 0);
    append_number<uint64_t>(end, entries_.size());
    append_number<uint64_t>(end, entries_.size());
    append_number(end, bytes);
    append_number(end, begin);
    end += "PK\x06\x07";
    append_number<uint32_t>(end, 0);
    append_number(end, offset);
    append_number<uint32_t>(end, 1);
    file_.write(end);
  }

  AtomicFile file_;
  std::vector<Entry> entries_;
};

struct StorageClass {
  std::string_view name;
  std::size_t bytes = 0;
};

StorageClass storage_class(const std::string& dtype, const std::string& where) {
  static const std::unordered_map<std::string, StorageClass> classes = {
      {"F64", {"DoubleStorage", 8}},    {"F32", {"FloatStorage", 4}}, {"F16", {"HalfStorage", 2}},
      {"BF16", {"BFloat16Storage", 2}}, {"I64", {"LongStorage", 8}},  {"I32", {"IntStorage", 4}},
      {"I16", {"ShortStorage", 2}},     {"I8", {"CharStorage", 1}},   {"U8", {"ByteStorage", 1}},
      {"BOOL", {"BoolStorage", 1}}};
  const auto found = classes.find(dtype);
  if (found == classes.end()) fail("{}: dtype {} cannot be written to a PyTorch checkpoint", where, dtype);
  return found->second;
}

// Which storage each tensor gets: those that share their memory share one.
class StorageKeys {
 public:
  // The key, and whether it is new.
  std::pair<std::string, bool> key_of(const TensorToWrite& tensor) {
    if (tensor.bytes == 0) return {std::to_string(next_++), true};
    const auto [found, is_new] = known_.try_emplace({tensor.data, tensor.bytes, tensor.dtype}, next_);
    if (is_new) ++next_;
    return {std::to_string(found->second), is_new};
  }

 private:
  std::map<std::tuple<const void*, std::size_t, std::string>, std::size_t> known_;
  std::size_t next_ = 0;
};

int64_t checked_count(const TensorToWrite& tensor, std::size_t item, const std::string& where) {
  const int64_t count = TorchTensor{tensor.dtype, tensor.shape, {}, 0, {}}.count();
  if (static_cast<uint64_t>(count) != tensor.bytes / item || tensor.bytes % item != 0)
    fail("{}: has {} bytes, its shape wants {} elements of {}", where, tensor.bytes, count, item);
  return count;
}

}  // namespace

void write_torch_file(const std::filesystem::path& path, const Json& plain, const std::string& tensors_key,
                      const std::vector<TensorToWrite>& tensors) {
  const std::string where = path.string();
  if (!plain.is_object() && !plain.is_null())
    fail("{}: a checkpoint's other members must be an object", where);
  if (tensors_key.empty() && !plain.empty()) fail("{}: the tensors need a key beside other members", where);
  if (plain.contains(tensors_key)) fail("{}: the key \"{}\" is there twice", where, tensors_key);

  PickleWriter pickle(where);
  if (!tensors_key.empty()) {
    pickle.raw("}(");
    if (plain.is_object()) pickle.members(plain);
    pickle.text(tensors_key);
  }
  pickle.raw("ccollections\nOrderedDict\n)R(");
  StorageKeys keys;
  std::set<std::string> names;
  std::vector<std::pair<std::string, const TensorToWrite*>> storages;
  for (const TensorToWrite& tensor : tensors) {
    const std::string place = fmt::format("{}: {}", where, tensor.name);
    if (!names.insert(tensor.name).second) fail("{}: is there twice", place);
    const StorageClass type = storage_class(tensor.dtype, place);
    const int64_t count = checked_count(tensor, type.bytes, place);
    const auto [key, is_new] = keys.key_of(tensor);
    if (is_new) storages.emplace_back(key, &tensor);
    pickle.text(tensor.name);
    pickle.tensor(type.name, key, tensor, count);
  }
  pickle.raw(tensors_key.empty() ? "u" : "uu");

  StoredZip zip(path);
  const std::string& bytes = pickle.finish();
  zip.add("archive/data.pkl", bytes.data(), bytes.size());
  constexpr std::string_view order = "little", version = "3\n";
  zip.add("archive/byteorder", order.data(), order.size());
  for (const auto& [key, tensor] : storages) zip.add("archive/data/" + key, tensor->data, tensor->bytes);
  zip.add("archive/version", version.data(), version.size());
  zip.commit();
}

}  // namespace retort
