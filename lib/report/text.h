// How names and numbers are written on a page or a terminal.
#pragma once

#include <string>
#include <string_view>

namespace retort {

// A name that came out of a file or a path, with '?' for control characters.
std::string printable(std::string_view text);

// Text as HTML and SVG take it, also within quoted attributes.
std::string escape_html(std::string_view text);

// A value for a table: whole numbers in full, others with five significant digits.
std::string format_value(double value);

}  // namespace retort
