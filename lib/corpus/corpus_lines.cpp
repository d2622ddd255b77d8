#include "corpus/corpus_lines.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/utf8.h"

namespace retort {
namespace {

// Text with nothing that JSON would have escaped, or would refuse.
bool is_plain(std::string_view line) {
  unsigned char unusual = 0, bits = 0;
  for (const char c : line) {  // no way out in between, so that it is done in vectors
    const auto byte = static_cast<unsigned char>(c);
    unusual |= static_cast<unsigned char>((byte < 0x20) | (byte == '\\'));
    bits |= byte;
  }
  return unusual == 0 && (bits < 0x80 || is_utf8(line));
}

class LineScanner {
 public:
  explicit LineScanner(std::string_view line) : at_(line.data()), end_(line.data() + line.size()) {}

  bool accept(char wanted) {
    skip_spaces();
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }

  bool at_end() {
    skip_spaces();
    return at_ == end_;
  }

  // The text between two quotation marks.
  bool accept_text(std::string_view& text) {
    if (!accept('"')) return false;
    const auto* close = static_cast<const char*>(std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_)));
    if (close == nullptr) return false;
    text = {at_, static_cast<std::size_t>(close - at_)};
    at_ = close + 1;
    return true;
  }

  bool accept_number(int64_t& value) {
    skip_spaces();
    const char* digits = at_ < end_ && *at_ == '-' ? at_ + 1 : at_;
    if (digits + 1 < end_ && *digits == '0' && is_digit(digits[1])) return false;
    const auto [rest, error] = std::from_chars(at_, end_, value);
    if (error != std::errc{} || (rest < end_ && (*rest == '.' || *rest == 'e' || *rest == 'E'))) return false;
    at_ = rest;
    return true;
  }

  // A value that nothing here depends on.
  bool skip_value() {
    std::string_view text;
    int64_t number = 0;
    if (accept_text(text) || accept_number(number)) return true;
    return std::any_of(std::begin(words), std::end(words), [&](std::string_view word) {
      if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return false;
      at_ += word.size();
      return true;
    });
  }

 private:
  static constexpr std::string_view words[] = {"null", "true", "false"};

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  void skip_spaces() {
    while (at_ < end_ && *at_ == ' ') ++at_;
  }

  const char* at_;
  const char* end_;
};

// Reads members of the line's object into its fields.
class FieldReader {
 public:
  explicit FieldReader(std::string_view line) : scanner_(line) {}

  std::optional<LineFields> read() {
    if (!scanner_.accept('{')) return std::nullopt;
    do {
      std::string_view key;
      if (!scanner_.accept_text(key) || !scanner_.accept(':') || !read_value(key)) return std::nullopt;
    } while (scanner_.accept(','));
    const bool complete = (seen_ & needed) == needed && !fields_.id.empty();
    if (!scanner_.accept('}') || !scanner_.at_end() || !complete || !in_range()) return std::nullopt;
    return fields_;
  }

 private:
  enum Key : unsigned { id = 1, path = 2, start = 4, samples = 8, rate = 16, channel = 32 };
  static constexpr unsigned needed = id | path | samples;

  bool first_time(Key key) {
    const bool first = (seen_ & key) == 0;
    seen_ |= key;
    return first;
  }

  bool read_value(std::string_view key) {
    std::string_view text;
    if (key == "id") return first_time(id) && scanner_.accept_text(fields_.id);
    if (key == "path") return first_time(path) && scanner_.accept_text(text);
    if (key == "start") return first_time(start) && scanner_.accept_number(fields_.start);
    if (key == "samples") return first_time(samples) && scanner_.accept_number(fields_.samples);
    if (key == "rate") return first_time(rate) && scanner_.accept_number(fields_.rate);
    if (key == "channel") return first_time(channel) && scanner_.accept_number(fields_.channel);
    return scanner_.skip_value();
  }

  // Within bounds that no real line exceeds; the parser judges the others.
  bool in_range() const {
    constexpr int64_t most_samples = int64_t{1} << 40, most_rate = 1 << 30;
    return fields_.start >= 0 && fields_.samples >= 0 && fields_.samples <= most_samples &&
           fields_.channel >= -1 && fields_.channel < most_rate && fields_.rate <= most_rate &&
           ((seen_ & rate) == 0 || fields_.rate >= 1);
  }

  LineScanner scanner_;
  LineFields fields_;
  unsigned seen_ = 0;
};

}  // namespace

std::optional<LineFields> scan_corpus_line(std::string_view line) {
  if (!is_plain(line)) return std::nullopt;
  return FieldReader(line).read();
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  lines.reserve(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = std::min(text.find('\n', begin), text.size());
    const std::size_t end = newline > begin && text[newline - 1] == '\r' ? newline - 1 : newline;
    lines.push_back(text.substr(begin, end - begin));
    begin = newline + 1;
  }
  return lines;
}

}  // namespace retort
