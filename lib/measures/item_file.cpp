#include "measures/item_file.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"

namespace retort {
namespace {

enum Column { file, onset, offset, phone, previous, next, speaker, column_count };
constexpr std::array<std::string_view, column_count> column_names{
    "#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker"};

// Where in a line each column is.
std::array<std::size_t, column_count> find_columns(const std::string& header, const std::string& where) {
  const std::vector<std::string> names = fields_of(header);
  std::array<std::size_t, column_count> columns{};
  for (std::size_t i = 0; i < column_count; ++i) {
    const auto found = std::find(names.begin(), names.end(), column_names[i]);
    if (found == names.end())
      fail(
          "{}: names no column {}; the first line of an item file should be: #file onset offset #phone "
          "prev-phone next-phone speaker",
          where, column_names[i]);
    columns[i] = static_cast<std::size_t>(found - names.begin());
  }
  return columns;
}

}  // namespace

ItemFile ItemFile::read(const std::filesystem::path& path) {
  const std::vector<std::string> lines = read_lines(path);
  if (lines.empty()) fail("{}: holds no items", path.string());
  const std::size_t width = fields_of(lines.front()).size();
  const auto columns = find_columns(lines.front(), fmt::format("{}:1", path.string()));
  ItemFile items;
  for (std::size_t number = 2; number <= lines.size(); ++number) {
    const std::vector<std::string> fields = fields_of(lines[number - 1]);
    if (fields.empty()) continue;
    if (fields.size() != width)
      fail("{}:{}: {} fields, where the first line names {}", path.string(), number, fields.size(), width);
    const auto field = [&](Column column) { return fields[columns[column]]; };
    const auto begin = samples_of(field(onset), model_rate);
    const auto end = samples_of(field(offset), model_rate);
    if (!begin || !end || *end <= *begin)
      fail("{}:{}: {} {} is no onset and offset in seconds", path.string(), number, field(onset),
           field(offset));
    items.items.push_back({field(file), *begin, *end, items.phones.index(field(phone)),
                           items.phones.index(field(previous)), items.phones.index(field(next)),
                           items.speakers.index(field(speaker))});
  }
  if (items.items.empty()) fail("{}: holds no items", path.string());
  return items;
}

ItemFrames frames_of(const AbxItem& item, int64_t hop) {
  // Twice the times, so that the middle of a frame is a whole number.
  const int64_t first = 2 * item.onset - hop;
  const int64_t last = 2 * item.offset - hop;
  if (last < 0) return {};
  return {first <= 0 ? 0 : (first + 2 * hop - 1) / (2 * hop), last / (2 * hop) + 1};
}

}  // namespace retort
