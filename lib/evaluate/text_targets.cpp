#include "evaluate/text_targets.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "measures/edit_distance.h"

namespace retort {
namespace {

bool is_slot_mark(const std::string& word) {
  return word.size() > 2 && (word.starts_with("B-") || word.starts_with("E-"));
}

// Letters in upper case, apostrophes and what is not ASCII; all else is a blank.
std::string spoken(const std::string& text) {
  std::string result = text;
  for (char& c : result) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x80 || c == '\'') continue;
    c = std::isalpha(code) != 0 ? static_cast<char>(std::toupper(code)) : ' ';
  }
  return result;
}

}  // namespace

std::vector<std::string> text_tokens(const std::string& text, const std::string& units) {
  if (units == "phones" || units == "words") return words_of(text);
  if (units == "characters") return characters_of(spoken(text));
  if (units != "slots") fail_usage("units {}: should be phones, words, characters or slots", units);
  std::vector<std::string> tokens;
  const auto add = [&](const std::vector<std::string>& more) {
    if (!tokens.empty() && !more.empty()) tokens.emplace_back(" ");
    tokens.insert(tokens.end(), more.begin(), more.end());
  };
  for (const std::string& word : words_of(text))
    add(is_slot_mark(word) ? std::vector<std::string>{word} : characters_of(spoken(word)));
  return tokens;
}

std::string text_of_tokens(const std::vector<std::string>& tokens, const std::string& units) {
  const bool spaced = units == "phones" || units == "words";
  return fmt::format("{}", fmt::join(tokens, spaced ? " " : ""));
}

Vocabulary::Vocabulary(const std::vector<std::string>& inventory,
                       const std::vector<std::vector<std::string>>& texts) {
  std::set<std::string> all(inventory.begin(), inventory.end());
  if (all.empty())
    for (const std::vector<std::string>& text : texts) all.insert(text.begin(), text.end());
  for (const std::string& token : all) {
    tokens_.push_back(token);
    classes_[token] = static_cast<int64_t>(tokens_.size());
  }
}

std::vector<int64_t> Vocabulary::encode(const std::vector<std::string>& tokens, const std::string& id) const {
  std::vector<int64_t> classes;
  for (const std::string& token : tokens) {
    const auto found = classes_.find(token);
    if (found == classes_.end())
      fail(
          "{}: \"{}\" is in its text, but not among the {} tokens of the inventory or the training split; "
          "add it to data.inventory, or leave the utterance out",
          id, one_line(token), tokens_.size());
    classes.push_back(found->second);
  }
  return classes;
}

std::vector<std::string> Vocabulary::decode(const std::vector<int>& classes) const {
  std::vector<std::string> tokens;
  for (const int one : classes) tokens.push_back(tokens_[static_cast<std::size_t>(one) - 1]);
  return tokens;
}

Lexicon::Lexicon(const std::string& path) {
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    const std::vector<std::string> fields = words_of(line);
    if (fields.empty() || line.starts_with(";;;")) continue;
    if (fields.size() < 2) fail("{}:{}: {} has no phones", path, number, fields[0]);
    std::string word = fields[0];
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::toupper(c); });
    phones_.emplace(word, std::vector<std::string>(fields.begin() + 1, fields.end()));
  }
  if (phones_.empty()) fail("{}: holds no words", path);
}

std::vector<std::string> Lexicon::phones(const std::string& text, std::vector<std::string>& unknown) const {
  std::vector<std::string> all;
  for (const std::string& word : words_of(spoken(text))) {
    const auto found = phones_.find(word);
    if (found == phones_.end())
      unknown.push_back(word);
    else
      all.insert(all.end(), found->second.begin(), found->second.end());
  }
  return all;
}

}  // namespace retort
