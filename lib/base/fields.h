// Lines of columns that blanks separate, times in them, and lists with commas.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

// The columns of a line; blanks are spaces and tabs.
std::vector<std::string> fields_of(std::string_view line);

// What stands between the commas of a list; one part, empty, for an empty list.
std::vector<std::string> parts_of(std::string_view list);

// Seconds as samples at this rate; none for what is no time.
std::optional<int64_t> samples_of(const std::string& seconds, int rate);

}  // namespace retort
