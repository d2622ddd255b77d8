#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/crc32.h"
#include "store/pt_storages.h"

namespace retort {
namespace {

constexpr uint64_t largest_directory = 64 << 20;
constexpr std::size_t most_end_records = 16;
constexpr std::size_t directory_entry = 46;  // bytes of one, without its name
constexpr std::size_t end_record = 22;
constexpr std::size_t end_record_64 = 56;
constexpr std::size_t locator_64 = 20;
constexpr std::size_t longest_comment = 65535;
constexpr std::size_t piece_bytes = 256 << 10;
// PyTorch stores its entries as they are. Files that were zipped again are read too, but nothing is inflated
// that was not worth deflating: beyond this ratio it is a bomb, or zeros.
constexpr uint64_t largest_ratio = 20;
constexpr uint64_t always_inflated = 1 << 20;

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::string read_at(std::ifstream& file, uint64_t offset, std::size_t bytes, const std::string& name) {
  std::string read(bytes, '\0');
  file.seekg(static_cast<std::streamoff>(offset));
  if (!file.read(read.data(), static_cast<std::streamsize>(bytes))) fail("{}: reading it failed", name);
  return read;
}

// libzip makes room for as many entries as a zip64 end record claims, before it looks at them, and tries
// every end record that it finds. So the claims are looked at here first: a directory must have room for its
// entries, within bounds.
void refuse_incredible_directory(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be opened", name);
  const uint64_t size = std::filesystem::file_size(path);
  const std::size_t tail_bytes = std::min<uint64_t>(size, longest_comment + end_record + locator_64);
  const uint64_t tail_begin = size - tail_bytes;
  const std::string tail = read_at(file, tail_begin, tail_bytes, name);

  std::size_t records = 0;
  for (std::size_t at = tail.find("PK\x05\x06"); at != std::string::npos;
       at = tail.find("PK\x05\x06", at + 1)) {
    if (tail.size() - at < end_record) break;
    if (++records > most_end_records) fail("{}: is a damaged zip file (it ends {} times)", name, records);
    uint64_t entries = number_at<uint16_t>(tail, at + 10);
    uint64_t bytes = number_at<uint32_t>(tail, at + 12);
    uint64_t offset = number_at<uint32_t>(tail, at + 16);
    if (at >= locator_64 && tail.compare(at - locator_64, 4, "PK\x06\x07") == 0) {
      const auto where = number_at<uint64_t>(tail, at - locator_64 + 8);
      if (size < end_record_64 || where > size - end_record_64) continue;  // libzip refuses it as well
      const std::string record = read_at(file, where, end_record_64, name);
      if (!record.starts_with("PK\x06\x06")) continue;
      entries = number_at<uint64_t>(record, 32);
      bytes = number_at<uint64_t>(record, 40);
      offset = number_at<uint64_t>(record, 48);
    }
    if (offset > size || bytes > size - offset) continue;
    if (bytes > largest_directory || entries > bytes / directory_entry)
      fail("{}: is a damaged zip file (a directory of {} entries in {} bytes)", name, entries, bytes);
  }
}

struct ZipEntry {
  zip_uint64_t index = 0;
  uint64_t bytes = 0;
  uint64_t packed_bytes = 0;
  uint32_t crc = 0;
  bool stored = true;
};

class TorchZip : public TorchStorages {
 public:
  explicit TorchZip(const std::filesystem::path& path) : name_(path.string()), scratch_(piece_bytes) {
    refuse_incredible_directory(path);
    int error = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &error));
    if (archive_ == nullptr) {
      zip_error_t described;
      zip_error_init_with_code(&described, error);
      const std::string reason = zip_error_strerror(&described);
      zip_error_fini(&described);
      fail("{}: is a damaged zip file, or cut short ({})", name_, reason);
    }
    index_entries(std::filesystem::file_size(path));
  }

  // Parses data.pkl and holds the storages that it names against the entries.
  Pickle read_pickle() {
    if (find(prefix_ + "constants.pkl") != nullptr)
      fail("{}: is a TorchScript archive, not a checkpoint; save the model's state_dict() with torch.save",
           name_);
    if (find(prefix_ + "data.pkl") == nullptr)
      fail("{}: is a zip file without a data.pkl, no PyTorch checkpoint", name_);
    if (find(prefix_ + "byteorder") != nullptr) {
      const std::string order = read_small("byteorder", 16);
      if (order != "little")
        fail("{}: its numbers are {}-endian; only little-endian files are read", name_, one_line(order));
    }
    const PickleLimits limits;
    const std::string bytes = read_small("data.pkl", limits.bytes);
    Pickle pickle(bytes, name_, limits);
    for (const auto& [key, storage] : pickle.storages()) {
      const uint64_t found = size(key, "data.pkl");
      if (found != storage.bytes())
        fail("{}: storage {} has {} bytes, the pickle declares {}", name_, one_line(key), found,
             storage.bytes());
    }
    return pickle;
  }

  uint64_t size(const std::string& key, const std::string& name) const override {
    return storage(key, name).bytes;
  }

  void read(const std::string& key, uint64_t begin, std::span<std::byte> out,
            const std::string& name) override {
    read_entry(storage(key, name), begin, out,
               fmt::format("entry data/{} ({})", one_line(key), one_line(name)));
  }

 private:
  struct Discard {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  struct Close {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
  };
  using OpenEntry = std::unique_ptr<zip_file_t, Close>;

  void index_entries(uint64_t file_bytes) {
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    checked_.resize(static_cast<std::size_t>(count));
    uint64_t packed = 0;
    for (zip_int64_t i = 0; i < count; ++i) {
      zip_stat_t status;
      if (zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW, &status) != 0)
        fail("{}: entry {} of the zip file cannot be read", name_, i);
      if (i == 0) prefix_ = prefix_of(status.name);
      ZipEntry entry{static_cast<zip_uint64_t>(i), status.size, status.comp_size, status.crc,
                     status.comp_method == ZIP_CM_STORE};
      const std::string entry_name = one_line(status.name);
      if (status.encryption_method != ZIP_EM_NONE) fail("{}: entry {} is encrypted", name_, entry_name);
      // Entries lie side by side, so that together they are no larger than the file. Thus nothing is ever
      // allocated that the file does not hold.
      if (__builtin_add_overflow(packed, entry.packed_bytes, &packed) || packed > file_bytes)
        fail("{}: entry {} lies outside of the file or on another one; the file is damaged or cut short",
             name_, entry_name);
      if (entry.stored && entry.bytes != entry.packed_bytes)
        fail("{}: entry {} has two sizes, {} and {} bytes", name_, entry_name, entry.bytes,
             entry.packed_bytes);
      if (!entries_.try_emplace(status.name, entry).second)
        fail("{}: entry {} is there twice", name_, entry_name);
    }
  }

  // "archive/" of "archive/data.pkl"; PyTorch takes it from the first entry, too.
  static std::string prefix_of(std::string_view entry_name) {
    const std::size_t slash = entry_name.find('/');
    return slash == std::string_view::npos ? std::string() : std::string(entry_name.substr(0, slash + 1));
  }

  const ZipEntry* find(const std::string& entry_name) const {
    const auto found = entries_.find(entry_name);
    return found == entries_.end() ? nullptr : &found->second;
  }

  const ZipEntry& storage(const std::string& key, const std::string& name) const {
    const ZipEntry* entry = find(prefix_ + "data/" + key);
    if (entry == nullptr)
      fail("{}: {}: there is no entry data/{}; the file is damaged or cut short", name_, one_line(name),
           one_line(key));
    return *entry;
  }

  std::string read_small(const std::string& entry_name, uint64_t limit) {
    const ZipEntry& entry = entries_.at(prefix_ + entry_name);
    if (entry.bytes > limit)
      fail("{}: entry {} has {} bytes, more than {}", name_, entry_name, entry.bytes, limit);
    std::string bytes(entry.bytes, '\0');
    read_entry(entry, 0, std::as_writable_bytes(std::span(bytes)), "entry " + entry_name);
    return bytes;
  }

  void refuse_bomb(const ZipEntry& entry, const std::string& what) const {
    if (entry.stored || entry.bytes <= always_inflated || entry.bytes / largest_ratio <= entry.packed_bytes)
      return;
    fail("{}: {} would inflate from {} to {} bytes; refused", name_, what, entry.packed_bytes, entry.bytes);
  }

  // Errors about an entry, for those who read from it.
  struct Place {
    const ZipEntry& entry;
    std::string what;
  };

  [[noreturn]] void wrong(const Place& place, std::string_view reason) const {
    fail("{}: {} is damaged: {}", name_, place.what, reason);
  }

  OpenEntry open(const Place& place) const {
    OpenEntry opened(zip_fopen_index(archive_.get(), place.entry.index, 0));
    if (opened == nullptr) wrong(place, zip_strerror(archive_.get()));
    return opened;
  }

  void seek(const Place& place, zip_file_t* file, uint64_t offset) const {
    if (zip_fseek(file, static_cast<zip_int64_t>(offset), SEEK_SET) != 0)
      wrong(place, zip_file_strerror(file));
  }

  // Fills `out`; the checksum goes along, in pieces that the CPU's caches hold.
  void take(const Place& place, zip_file_t* file, std::span<std::byte> out, uint32_t& crc) const {
    while (!out.empty()) {
      const zip_int64_t got = zip_fread(file, out.data(), std::min(out.size(), piece_bytes));
      if (got < 0) wrong(place, zip_file_strerror(file));
      if (got == 0) wrong(place, "it is cut short");
      crc = crc32_of(crc, out.data(), static_cast<std::size_t>(got));
      out = out.subspan(static_cast<std::size_t>(got));
    }
  }

  void skip(const Place& place, zip_file_t* file, uint64_t bytes, uint32_t& crc) {
    while (bytes > 0) {
      const std::span<std::byte> piece(scratch_.data(), std::min<uint64_t>(bytes, scratch_.size()));
      take(place, file, piece, crc);
      bytes -= piece.size();
    }
  }

  // The first time, all of the entry is read and its checksum compared. Later views of the same storage are
  // found by seeking.
  void read_entry(const ZipEntry& entry, uint64_t begin, std::span<std::byte> out, const std::string& what) {
    const Place place{entry, what};
    refuse_bomb(entry, what);
    if (out.empty() && checked_[entry.index]) return;
    if (!entry.stored)
      read_inflated(place, begin, out);
    else if (checked_[entry.index])
      read_checked(place, begin, out);
    else
      read_checking(place, begin, out);
    checked_[entry.index] = true;
  }

  void read_checked(const Place& place, uint64_t begin, std::span<std::byte> out) const {
    const OpenEntry file = open(place);
    uint32_t ignored = 0;
    seek(place, file.get(), begin);
    take(place, file.get(), out, ignored);
  }

  // libzip would take the checksum itself, with zlib and in most of the time that reading takes, unless its
  // first read is past the beginning. So the first byte is read last.
  void read_checking(const Place& place, uint64_t begin, std::span<std::byte> out) {
    const uint64_t bytes = place.entry.bytes;
    if (bytes == 0) return;
    const OpenEntry file = open(place);
    const bool first_wanted = begin == 0 && !out.empty();
    const uint64_t skipped = first_wanted ? 0 : begin > 0 ? begin - 1 : 0;
    const std::span<std::byte> rest = first_wanted ? out.subspan(1) : out;
    uint32_t rest_crc = 0, crc = 0;
    seek(place, file.get(), 1);
    skip(place, file.get(), skipped, rest_crc);
    take(place, file.get(), rest, rest_crc);
    skip(place, file.get(), bytes - 1 - skipped - rest.size(), rest_crc);
    seek(place, file.get(), 0);
    take(place, file.get(), first_wanted ? out.first(1) : std::span(scratch_.data(), 1), crc);
    if (crc32_joined(crc, rest_crc, bytes - 1) != place.entry.crc) wrong(place, "its checksum is wrong");
  }

  // Deflated entries cannot be sought in; libzip compares their checksum at the end.
  void read_inflated(const Place& place, uint64_t begin, std::span<std::byte> out) {
    const OpenEntry file = open(place);
    uint32_t ignored = 0;
    skip(place, file.get(), begin, ignored);
    take(place, file.get(), out, ignored);
    skip(place, file.get(), place.entry.bytes - begin - out.size(), ignored);
    const zip_int64_t end = zip_fread(file.get(), scratch_.data(), 1);
    if (end != 0) wrong(place, end < 0 ? zip_file_strerror(file.get()) : "it is longer than it should be");
  }

  std::string name_;
  std::unique_ptr<zip_t, Discard> archive_;
  std::map<std::string, ZipEntry> entries_;
  std::vector<bool> checked_;  // by index: the entry's checksum was right
  std::string prefix_;
  std::vector<std::byte> scratch_;
};

}  // namespace

TorchContent open_torch_zip(const std::filesystem::path& path) {
  auto zip = std::make_unique<TorchZip>(path);
  Pickle pickle = zip->read_pickle();
  return {std::move(pickle), std::move(zip)};
}

}  // namespace retort
