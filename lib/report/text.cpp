#include "report/text.h"

#include <fmt/format.h>

#include <cmath>

namespace retort {

std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean)
    if ((c >= 0 && c < 0x20) || c == 0x7f) c = '?';
  return clean;
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  return escaped;
}

std::string format_value(double value) {
  constexpr double exact = 1e15;  // whole doubles up to here have all their digits
  const double size = std::abs(value);
  if (size < exact && (size >= 1e5 || value == std::floor(value))) return fmt::format("{:.0f}", value + 0.0);
  return fmt::format("{:.5g}", value);
}

}  // namespace retort
