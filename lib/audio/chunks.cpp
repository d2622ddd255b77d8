#include "audio/chunks.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <string_view>

namespace retort {
namespace {

constexpr std::size_t tag_bytes = 4;

uint32_t read_size(const char* bytes, bool big_endian) {
  uint32_t size = 0;
  for (int i = 0; i < 4; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[big_endian ? i : 3 - i]);
    size = size << 8 | byte;
  }
  return size;
}

// Programs that write to a pipe cannot go back to fill in the size; they leave 0 or something near the
// largest one.
bool is_placeholder(uint32_t size) {
  return size == 0 || size >= 0x7ffff000;
}

// `read(position, out)` fills `out` with the bytes at `position`, or says that they are not there.
template <class Read>
int64_t missing_bytes(int64_t file_bytes, const Read& read) {
  std::array<char, 12> form{};
  if (!read(0, std::span<char>(form))) return 0;
  const std::string_view container(form.data(), tag_bytes);
  if (container != "RIFF" && container != "FORM") return 0;
  const bool big_endian = container == "FORM";
  const std::string_view sound = big_endian ? "SSND" : "data";

  int64_t position = form.size();
  std::array<char, 8> chunk{};
  while (read(position, std::span<char>(chunk))) {
    position += static_cast<int64_t>(chunk.size());
    const uint32_t size = read_size(chunk.data() + tag_bytes, big_endian);
    if (std::string_view(chunk.data(), tag_bytes) == sound) {
      return is_placeholder(size) ? 0 : std::max<int64_t>(0, position + size - file_bytes);
    }
    position += static_cast<int64_t>(size) + size % 2;  // chunks begin at even offsets
  }
  return 0;
}

}  // namespace

int64_t missing_sound_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return 0;
  return missing_bytes(
      static_cast<int64_t>(std::filesystem::file_size(path)), [&](int64_t position, std::span<char> out) {
        return file.seekg(position) && file.read(out.data(), static_cast<std::streamsize>(out.size()));
      });
}

int64_t missing_sound_bytes_in(std::string_view bytes) {
  return missing_bytes(static_cast<int64_t>(bytes.size()), [&](int64_t position, std::span<char> out) {
    const auto from = static_cast<std::size_t>(position);
    if (from > bytes.size() || bytes.size() - from < out.size()) return false;
    std::copy_n(bytes.begin() + position, out.size(), out.begin());
    return true;
  });
}

}  // namespace retort
