#include "base/error.h"

#include "base/utf8.h"

namespace retort {
namespace {

// ASCII's and, as terminals obey them too, those of U+0080 to U+009F.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

}  // namespace

std::string one_line(std::string_view text) {
  constexpr std::size_t longest = 120;
  std::string line;
  while (!text.empty() && line.size() < longest) {
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length);
    if (length == 0 || is_control(character))
      line += '?';
    else
      line += character;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  if (!text.empty()) line += "...";
  return line;
}

}  // namespace retort
