// What a CTC probe is to write: tokens of a text, and the classes that stand for them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace retort {

// phones, words: tokens between blanks. characters: upper-case letters, apostrophes and single blanks; other
// ASCII is a blank. slots: those, and each word like B-artist or E-artist as a token of its own.
// A usage Error for other units.
std::vector<std::string> text_tokens(const std::string& text, const std::string& units);

// The text that tokens make; text_tokens() of it gives them again.
std::string text_of_tokens(const std::vector<std::string>& tokens, const std::string& units);

// Tokens as classes from 1 on, in order of their bytes; class 0 is CTC's blank.
class Vocabulary {
 public:
  // Exactly the tokens of `inventory`; where that is empty, all that occur in `texts`.
  Vocabulary(const std::vector<std::string>& inventory, const std::vector<std::vector<std::string>>& texts);

  int64_t classes() const { return static_cast<int64_t>(tokens_.size()) + 1; }
  // An Error that names the utterance and the first token that is unknown.
  std::vector<int64_t> encode(const std::vector<std::string>& tokens, const std::string& id) const;
  std::vector<std::string> decode(const std::vector<int>& classes) const;

 private:
  std::vector<std::string> tokens_;
  std::map<std::string, int64_t> classes_;
};

// A pronouncing dictionary: lines "WORD PHONE PHONE ..." (CMUdict, LibriSpeech's lexicon). Of several
// pronunciations the first counts; comments begin with ;;;.
class Lexicon {
 public:
  explicit Lexicon(const std::string& path);

  // Phones of a text's words, in upper case without punctuation. Words that are not in it are added to
  // `unknown`.
  std::vector<std::string> phones(const std::string& text, std::vector<std::string>& unknown) const;

 private:
  std::map<std::string, std::vector<std::string>> phones_;
};

}  // namespace retort
