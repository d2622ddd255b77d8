#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "store/pt_storages.h"

namespace retort {
namespace {

constexpr double magic_number = 119547037146038801333356.0;  // 0x1950a86a20f9469cfc6c
constexpr int64_t known_protocol = 1001;
constexpr PickleLimits small = {64 << 10, 4096};  // for the pickles around the object

// A file that is read at any place.
class ReadFile {
 public:
  explicit ReadFile(const std::filesystem::path& path) : name_(path.string()) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail("{}: cannot be opened ({})", name_, std::strerror(errno));
  }
  ~ReadFile() { ::close(fd_); }
  ReadFile(const ReadFile&) = delete;
  ReadFile& operator=(const ReadFile&) = delete;

  void read(uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail("{}: reading it failed ({})", name_, std::strerror(errno));
      if (got == 0) fail("{}: is cut short", name_);
      out = out.subspan(static_cast<std::size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
  }

 private:
  std::string name_;
  int fd_ = -1;
};

struct Place {
  uint64_t begin = 0;
  uint64_t bytes = 0;
};

class LegacyStorages : public TorchStorages {
 public:
  LegacyStorages(const std::filesystem::path& path, std::map<std::string, Place> places)
      : name_(path.string()), file_(path), places_(std::move(places)) {}

  uint64_t size(const std::string& key, const std::string& name) const override {
    return place(key, name).bytes;
  }

  void read(const std::string& key, uint64_t begin, std::span<std::byte> out,
            const std::string& name) override {
    file_.read(place(key, name).begin + begin, out);
  }

 private:
  const Place& place(const std::string& key, const std::string& name) const {
    const auto found = places_.find(key);
    if (found == places_.end()) fail("{}: {}: there is no storage {}", name_, one_line(name), one_line(key));
    return found->second;
  }

  std::string name_;
  ReadFile file_;
  std::map<std::string, Place> places_;
};

// Where each storage lies, from the list of keys that stands before them.
std::map<std::string, Place> find_storages(const Pickle& object, const PickleValue& keys, uint64_t offset,
                                           std::string_view bytes, const std::string& name) {
  std::map<std::string, Place> places;
  for (const PickleValue* key : keys.items()) {
    const auto declared = object.storages().find(std::string(key->raw()));
    if (declared == object.storages().end())
      fail("{}: storage {} belongs to no tensor", name, one_line(key->raw()));
    int64_t count = 0;
    if (bytes.size() - offset < sizeof count)
      fail("{}: is cut short before storage {}", name, declared->first);
    std::memcpy(&count, bytes.data() + offset, sizeof count);
    offset += sizeof count;
    if (count != declared->second.count)
      fail("{}: storage {} has {} elements, the pickle declares {}", name, one_line(key->raw()), count,
           declared->second.count);
    const uint64_t size = declared->second.bytes();
    if (bytes.size() - offset < size) fail("{}: is cut short within storage {}", name, one_line(key->raw()));
    if (!places.try_emplace(declared->first, Place{offset, size}).second)
      fail("{}: storage {} is there twice", name, one_line(key->raw()));
    offset += size;
  }
  for (const auto& [key, declared] : object.storages())
    if (!places.contains(key)) fail("{}: storage {} is missing", name, one_line(key));
  return places;
}

bool is_magic(std::string_view bytes, std::size_t& length) {
  try {
    const Pickle magic(bytes.substr(0, 64), "", {64, 16});
    length = magic.size();
    const bool real = magic.root().kind() == PickleValue::Kind::real;
    return real && std::abs(magic.root().as_real("") / magic_number - 1) < 1e-12;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

bool is_torch_legacy(std::string_view bytes) {
  std::size_t length = 0;
  return is_magic(bytes, length);
}

TorchContent open_torch_legacy(const std::filesystem::path& path) {
  const std::string name = path.string();
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  std::size_t at = 0;
  if (!is_magic(bytes, at))
    fail("{}: is no PyTorch checkpoint{}", name, bytes.empty() ? " (the file is empty)" : "");

  const Pickle protocol(bytes.substr(at), name, small);
  at += protocol.size();
  if (const int64_t number = protocol.root().as_int(name + ": protocol"); number != known_protocol)
    fail("{}: is a checkpoint of protocol {}; {} is known", name, number, known_protocol);
  const Pickle system(bytes.substr(at), name, small);
  at += system.size();
  const PickleValue* little = system.root().find("little_endian");
  if (little == nullptr || !little->as_bool(name + ": little_endian"))
    fail("{}: its numbers are big-endian; only little-endian files are read", name);

  Pickle object(bytes.substr(at), name);
  at += object.size();
  const Pickle keys(bytes.substr(at), name);
  at += keys.size();
  auto places = find_storages(object, keys.root(), at, bytes, name);
  return {std::move(object), std::make_unique<LegacyStorages>(path, std::move(places))};
}

}  // namespace retort
