// Opcodes that more than one test writes.
#pragma once

#include <cstdint>
#include <string>

namespace retort {

// A text of protocol 1 and later.
inline std::string text_op(const std::string& text) {
  const auto length = static_cast<uint32_t>(text.size());
  std::string opcodes(1, 'X');
  opcodes.append(reinterpret_cast<const char*>(&length), sizeof length);
  opcodes += text;
  return opcodes;
}

}  // namespace retort
