// Edits that turn a reference into a hypothesis: the counts behind word, character and phone error rates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

struct Edits {
  int64_t substitutions = 0;
  int64_t deletions = 0;   // tokens of the reference that the hypothesis lacks
  int64_t insertions = 0;  // tokens of the hypothesis that the reference lacks
  int64_t reference = 0;   // tokens of the reference

  int64_t total() const { return substitutions + deletions + insertions; }
  // total / reference: above 1 where much is inserted. An Error where the reference is empty.
  double rate() const;
  Edits& operator+=(const Edits& other);
};

// The fewest edits (Levenshtein, all of cost 1). Where several alignments are shortest, the one that
// substitutes most is counted, so that the split into kinds is defined too.
Edits count_edits(const std::vector<std::string>& reference, const std::vector<std::string>& hypothesis);

// Tokens between blanks.
std::vector<std::string> words_of(std::string_view text);
// The characters of a UTF-8 text; runs of blanks count as one, at its ends as none. An Error where the text
// is not UTF-8.
std::vector<std::string> characters_of(std::string_view text);

}  // namespace retort
