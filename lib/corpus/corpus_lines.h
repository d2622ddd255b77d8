// What of a corpus's lines is needed to divide it, read without making a JSON value of each line: a task of
// an array reads a million lines to work on a thousand of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace retort {

// What a line's place in a shard and the corpus's identity follow from.
struct LineFields {
  std::string_view id;
  int64_t start = 0;
  int64_t samples = 0;
  int64_t rate = 0;  // 0: not stated
  int64_t channel = -1;
};

// The fields of a line as retort-prepare and others write it: one object of texts, whole numbers, true, false
// and null. None for a line that has more to it (an escape, a fraction, a list, a key twice, a field that is
// missing or out of its range) or is wrong; it needs a JSON parser.
std::optional<LineFields> scan_corpus_line(std::string_view line);

// The lines of a text without their ends; a final empty one is not counted.
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace retort
