#include "measures/transcripts.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/files.h"

namespace retort {

Transcripts read_transcripts(const std::filesystem::path& path) {
  Transcripts transcripts;
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    const std::vector<std::string> words = words_of(line);
    if (words.empty()) continue;
    const std::string text = fmt::format("{}", fmt::join(words.begin() + 1, words.end(), " "));
    if (!transcripts.emplace(words[0], text).second)
      fail("{}:{}: a second line for {}", path.string(), number, words[0]);
  }
  if (transcripts.empty()) fail("{}: holds no transcripts", path.string());
  return transcripts;
}

KeyMatch match_keys(const std::vector<std::string>& references, const std::vector<std::string>& hypotheses,
                    const std::string& what, bool partial) {
  KeyMatch match;
  const auto compare = [&](auto operation, std::vector<std::string>& result, const auto& a, const auto& b) {
    operation(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  };
  const auto difference = [](auto... arguments) { std::set_difference(arguments...); };
  compare([](auto... arguments) { std::set_intersection(arguments...); }, match.common, references,
          hypotheses);
  compare(difference, match.missing, references, hypotheses);
  compare(difference, match.extra, hypotheses, references);
  if (match.common.empty())
    fail("{}: none of the {} references has a hypothesis; are they of the same corpus?", what,
         references.size());
  if (!match.whole() && !partial)
    fail(
        "{}: {} references without hypothesis (first: {}), {} hypotheses without reference (first: {}); "
        "--partial scores what both have",
        what, match.missing.size(), match.missing.empty() ? "-" : match.missing.front(), match.extra.size(),
        match.extra.empty() ? "-" : match.extra.front());
  return match;
}

TranscriptScore score_transcripts(const Transcripts& references, const Transcripts& hypotheses,
                                  const std::vector<std::string>& ids,
                                  std::vector<std::string> (*tokens_of)(std::string_view)) {
  TranscriptScore score;
  for (const std::string& id : ids) {
    const Edits edits = count_edits(tokens_of(references.at(id)), tokens_of(hypotheses.at(id)));
    score.edits += edits;
    ++score.utterances;
    if (edits.total() > 0) ++score.wrong_utterances;
    if (edits.reference == 0) ++score.empty_references;
  }
  if (score.edits.reference == 0)
    fail("all {} references are empty, so there is no error rate", score.utterances);
  return score;
}

Json counts_of(const TranscriptScore& score) {
  return {{"reference_tokens", score.edits.reference},
          {"substitutions", score.edits.substitutions},
          {"deletions", score.edits.deletions},
          {"insertions", score.edits.insertions},
          {"utterances", score.utterances},
          {"wrong_utterances", score.wrong_utterances},
          {"empty_references", score.empty_references}};
}

}  // namespace retort
