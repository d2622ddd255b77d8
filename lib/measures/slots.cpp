#include "measures/slots.h"

#include <algorithm>

#include "base/error.h"

namespace retort {
namespace {

bool is_mark(std::string_view word) {
  return word.size() > 2 && (word.starts_with("B-") || word.starts_with("E-"));
}

// F1 over kinds: a kind counts once, however often it occurs.
double type_f1(const Slots& reference, const Slots& hypothesis) {
  if (reference.empty() && hypothesis.empty()) return 1;
  int64_t common = 0;
  for (const auto& [kind, values] : reference) common += static_cast<int64_t>(hypothesis.count(kind));
  return 2 * static_cast<double>(common) / static_cast<double>(reference.size() + hypothesis.size());
}

// Characters of one reference value against the value of that kind with the lowest rate; of equals the first.
Edits value_edits(const std::string& value, const std::vector<std::string>& candidates) {
  const std::vector<std::string> reference = characters_of(value);
  if (candidates.empty()) return count_edits(reference, {});
  std::vector<Edits> all;
  for (const std::string& candidate : candidates)
    all.push_back(count_edits(reference, characters_of(candidate)));
  return *std::min_element(all.begin(), all.end(),
                           [](const Edits& a, const Edits& b) { return a.total() < b.total(); });
}

}  // namespace

Slots slots_of(std::string_view text) {
  Slots slots;
  const std::vector<std::string> words = words_of(text);
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (!word->starts_with("B-") || !is_mark(*word)) continue;
    const std::string kind = word->substr(2);
    // A slot holds a word at least: its end mark is looked for after that one.
    if (words.end() - word < 3) continue;
    const auto end = std::find(word + 2, words.end(), "E-" + kind);
    if (end == words.end()) continue;
    std::vector<std::string> value;
    std::copy_if(word + 1, end, std::back_inserter(value), [](const auto& one) { return !is_mark(one); });
    slots[kind].push_back(fmt::format("{}", fmt::join(value, " ")));
    word = end;
  }
  return slots;
}

SlotScore score_slots(const Transcripts& references, const Transcripts& hypotheses,
                      const std::vector<std::string>& ids) {
  SlotScore score;
  for (const std::string& id : ids) {
    const Slots reference = slots_of(references.at(id)), hypothesis = slots_of(hypotheses.at(id));
    score.type_f1_sum += type_f1(reference, hypothesis);
    ++score.utterances;
    for (const auto& [kind, values] : reference) {
      const auto found = hypothesis.find(kind);
      for (const std::string& value : values)
        score.value_edits +=
            value_edits(value, found == hypothesis.end() ? std::vector<std::string>{} : found->second);
    }
  }
  if (score.value_edits.reference == 0)
    fail("none of {} references has a slot (B-kind words E-kind)", score.utterances);
  return score;
}

}  // namespace retort
