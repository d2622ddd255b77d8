// Hypotheses against references: texts by utterance, and which utterances both have.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "measures/edit_distance.h"

namespace retort {

using Transcripts = std::map<std::string, std::string>;  // text by id

// Reads lines "id text..." as Kaldi's text files have them; the text may be empty. Ids that repeat are
// refused.
Transcripts read_transcripts(const std::filesystem::path& path);

// Ids of references and hypotheses, held against each other.
struct KeyMatch {
  std::vector<std::string> common;
  std::vector<std::string> missing;  // of the references, without hypothesis
  std::vector<std::string> extra;    // of the hypotheses, without reference

  bool whole() const { return missing.empty() && extra.empty(); }
};

// Both lists sorted and without repetition. Unless `partial`, ids that only one side has are an Error that
// names the first of them; nothing in common is an Error always. `what` names both in it.
KeyMatch match_keys(const std::vector<std::string>& references, const std::vector<std::string>& hypotheses,
                    const std::string& what, bool partial);

// The keys of a map, sorted.
template <class Map>
std::vector<std::string> keys_of(const Map& map) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

// Edits over all utterances, and what was particular about them.
struct TranscriptScore {
  Edits edits;
  int64_t utterances = 0;
  int64_t wrong_utterances = 0;  // with any edit
  int64_t empty_references = 0;  // what is said there counts as insertions
};

// `tokens_of` cuts a text: words_of for words and phones, characters_of for characters. Each id of `ids` is
// in both. An Error where all references are empty.
TranscriptScore score_transcripts(const Transcripts& references, const Transcripts& hypotheses,
                                  const std::vector<std::string>& ids,
                                  std::vector<std::string> (*tokens_of)(std::string_view));

// The score's counts, by name.
Json counts_of(const TranscriptScore& score);

}  // namespace retort
