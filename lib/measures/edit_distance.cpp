#include "measures/edit_distance.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/utf8.h"

namespace retort {
namespace {

constexpr std::string_view blanks = " \t\r\n";

// The cheapest way to a cell: fewest edits, then fewest that are no substitutions.
bool is_cheaper(const Edits& a, const Edits& b) {
  return std::tuple(a.total(), a.deletions + a.insertions) <
         std::tuple(b.total(), b.deletions + b.insertions);
}

Edits with(Edits edits, int64_t Edits::*kind) {
  ++(edits.*kind);
  return edits;
}

}  // namespace

double Edits::rate() const {
  if (reference == 0) fail("the reference is empty, so there is no error rate");
  return static_cast<double>(total()) / static_cast<double>(reference);
}

Edits& Edits::operator+=(const Edits& other) {
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  reference += other.reference;
  return *this;
}

Edits count_edits(const std::vector<std::string>& reference, const std::vector<std::string>& hypothesis) {
  // row[h]: the way from what was read of the reference to the first h tokens of the hypothesis.
  std::vector<Edits> row(hypothesis.size() + 1);
  for (std::size_t h = 1; h < row.size(); ++h) row[h] = with(row[h - 1], &Edits::insertions);
  for (const std::string& token : reference) {
    Edits diagonal = row[0];
    row[0] = with(row[0], &Edits::deletions);
    for (std::size_t h = 1; h < row.size(); ++h) {
      Edits best = token == hypothesis[h - 1] ? diagonal : with(diagonal, &Edits::substitutions);
      for (const Edits& other : {with(row[h], &Edits::deletions), with(row[h - 1], &Edits::insertions)})
        if (is_cheaper(other, best)) best = other;
      diagonal = row[h];
      row[h] = best;
    }
  }
  row.back().reference = static_cast<int64_t>(reference.size());
  return row.back();
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(blanks, end);
  }
  return words;
}

std::vector<std::string> characters_of(std::string_view text) {
  std::vector<std::string> characters;
  for (const std::string& word : words_of(text)) {
    if (!characters.empty()) characters.emplace_back(" ");
    for (std::string_view rest = word; !rest.empty();) {
      const std::size_t length = utf8_length(rest);
      if (length == 0) fail("\"{}\" is not UTF-8", one_line(text));
      characters.emplace_back(rest.substr(0, length));
      rest.remove_prefix(length);
    }
  }
  return characters;
}

}  // namespace retort
