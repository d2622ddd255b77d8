#include "base/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace retort {

std::vector<std::string> fields_of(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  std::vector<std::string> fields;
  for (std::size_t begin = line.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(blanks, begin), line.size());
    fields.emplace_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(blanks, end);
  }
  return fields;
}

std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    parts.emplace_back(list.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

std::optional<int64_t> samples_of(const std::string& seconds, int rate) {
  constexpr double longest_seconds = 1e6;
  double value = 0;
  const auto [end, error] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  if (error != std::errc{} || end != seconds.data() + seconds.size()) return std::nullopt;
  if (!(value >= 0 && value <= longest_seconds)) return std::nullopt;
  return std::llround(value * rate);
}

}  // namespace retort
