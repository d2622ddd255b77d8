// Content hashes: XXH3 with 128 bits, written as 32 hexadecimal digits.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace retort {

// Hashes a stream of bytes; the result does not depend on how the bytes were cut into calls.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  Hasher& add(const void* data, std::size_t bytes);
  Hasher& add(std::string_view text) { return add(text.data(), text.size()); }
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_bytes(const void* data, std::size_t bytes);
inline std::string hash_text(std::string_view text) {
  return hash_bytes(text.data(), text.size());
}

// The hash of a file's bytes.
std::string hash_file(const std::filesystem::path& path);

}  // namespace retort
