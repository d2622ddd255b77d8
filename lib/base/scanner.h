// Reading small pieces of Python from text: literals, character by character, and nothing that runs.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace retort {

class Scanner {
 public:
  // `blanks` are passed over before everything that is read.
  Scanner(std::string_view text, std::string_view blanks) : text_(text), blanks_(blanks) {}

  // The next character that is no blank; '\0' at the end.
  char peek() {
    while (at_ < text_.size() && blanks_.find(text_[at_]) != std::string_view::npos) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  bool accept(std::string_view word) {
    peek();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  // A whole number into `value`; false, and nothing read, where there is none or it does not fit.
  template <class T>
  bool accept_number(T& value) {
    peek();
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc{}) return false;
    at_ = static_cast<std::size_t>(end - text_.data());
    return true;
  }
  // Up to the next `end`, which is passed over too; false where there is none.
  bool accept_until(char end, std::string_view& taken) {
    const std::size_t place = text_.find(end, at_);
    if (place == std::string_view::npos) return false;
    taken = text_.substr(at_, place - at_);
    at_ = place + 1;
    return true;
  }

 private:
  std::string_view text_;
  std::string_view blanks_;
  std::size_t at_ = 0;
};

}  // namespace retort
