// Is a text UTF-8?
#pragma once

#include <cstddef>
#include <string_view>

namespace retort {

// The length in bytes of the character at the beginning; 0 where no well-formed one is. `text` is not empty.
std::size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace retort
