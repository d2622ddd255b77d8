#include "store/kaldi_specifier.h"

#include <cctype>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace retort {
namespace {

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

struct SplitSpecifier {
  std::vector<std::string> words;  // before the colon
  std::string rest;
};

SplitSpecifier split_specifier(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) fail_usage("{}: a table is named ark:FILE or scp:FILE", text);
  if (is_blank(text.back()) || is_blank(text.front()))
    fail_usage("\"{}\": begins or ends with white space, which a table's name may not", text);
  return {split(text.substr(0, colon), ','), text.substr(colon + 1)};
}

// Sets the option that `word` names; false if there is none.
bool set_option(Rspecifier& specifier, const std::string& word) {
  if (word == "b" || word == "t") return true;  // values say themselves whether they are binary or text
  if (word == "o" || word == "no")
    specifier.once = word == "o";
  else if (word == "s" || word == "ns")
    specifier.sorted = word == "s";
  else if (word == "cs" || word == "ncs")
    specifier.called_sorted = word == "cs";
  else if (word == "p" || word == "np")
    specifier.permissive = word == "p";
  else if (word == "bg")
    specifier.background = true;
  else
    return false;
  return true;
}

bool set_option(Wspecifier& specifier, const std::string& word) {
  if (word == "b" || word == "t")
    specifier.binary = word == "b";
  else if (word == "f" || word == "nf")
    specifier.flush = word == "f";
  else if (word == "p")
    specifier.permissive = true;
  else
    return false;
  return true;
}

// Splits "a.ark,a.scp" of an ark,scp specifier at the first comma.
void split_pair(Wspecifier& specifier, const std::string& rest) {
  const std::size_t comma = rest.find(',');
  if (comma == std::string::npos)
    fail_usage("{}: two files are needed, as in ark,scp:feats.ark,feats.scp", specifier.text);
  specifier.archive_wxfilename = rest.substr(0, comma);
  specifier.script_wxfilename = rest.substr(comma + 1);
  if (parse_wxfilename(specifier.archive_wxfilename).kind != StreamKind::file)
    fail_usage("{}: the archive has to be a file, since the script names places in it", specifier.text);
}

// What is wrong with the name of a file or command, whichever way it is used; "" for nothing.
std::string common_fault(const std::string& text) {
  if (is_blank(text.front()) || is_blank(text.back())) return "begins or ends with white space";
  if (text.size() > 1 && (text[0] == 't' || text[0] == 'b') && text[1] == ',')
    return "is a table's name where a file's was expected";
  return "";
}

// Where "FILE:123" has its colon, or npos.
std::size_t offset_colon(const std::string& text) {
  std::size_t at = text.size();
  while (at > 0 && is_digit(text[at - 1])) --at;
  return at > 0 && at < text.size() && text[at - 1] == ':' ? at - 1 : std::string::npos;
}

int64_t parse_offset(const std::string& text, std::string_view digits) {
  int64_t offset = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), offset).ec != std::errc())
    fail_usage("{}: no file has a byte {}", text, digits);
  return offset;
}

// "3:17" or ":".
void parse_ends(const std::string& text, const std::string& whole, int64_t* first, int64_t* last) {
  if (text == ":") return;
  const char* const end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, *first);
  const bool separated = error == std::errc() && colon < end && *colon == ':';
  const auto [stop, last_error] = separated ? std::from_chars(colon + 1, end, *last)
                                            : std::from_chars_result{end, std::errc::invalid_argument};
  if (last_error != std::errc() || stop != end || *first < 0 || *last < *first)
    fail_usage("[{}]: is no range; ranges are [FIRST:LAST] or [FIRST:LAST,FIRST:LAST], both ends included",
               whole);
}

}  // namespace

bool is_table(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return false;
  std::string words = text.substr(0, colon);
  std::erase_if(words, is_blank);
  for (const std::string& word : split(words, ','))
    if (word == "ark" || word == "scp") return true;
  return false;
}

Rspecifier parse_rspecifier(const std::string& text) {
  const SplitSpecifier parts = split_specifier(text);
  Rspecifier specifier;
  specifier.text = text;
  specifier.rxfilename = parts.rest;
  int kinds = 0;
  for (const std::string& word : parts.words) {
    if (word == "ark" || word == "scp") {
      specifier.script = word == "scp";
      ++kinds;
    } else if (word == "f" || word == "nf") {
      fail_usage("{}: option {} is for tables that are written", text, word);
    } else if (!set_option(specifier, word)) {
      fail_usage("{}: there is no option \"{}\"; a table is read from [o,s,cs,p,bg,]ark:FILE or ...scp:FILE",
                 text, word);
    }
  }
  if (kinds != 1) fail_usage("{}: a table is read from one ark or one scp", text);
  parse_rxfilename(specifier.rxfilename);
  return specifier;
}

Wspecifier parse_wspecifier(const std::string& text) {
  const SplitSpecifier parts = split_specifier(text);
  Wspecifier specifier;
  specifier.text = text;
  for (const std::string& word : parts.words) {
    if (word == "ark" && specifier.script && !specifier.archive)
      fail_usage("{}: write ark,scp:ARCHIVE,SCRIPT, in this order", text);
    bool* const kind = word == "ark" ? &specifier.archive : word == "scp" ? &specifier.script : nullptr;
    if (kind != nullptr) {
      if (*kind) fail_usage("{}: {} stands there twice", text, word);
      *kind = true;
    } else if (!set_option(specifier, word)) {
      fail_usage(
          "{}: there is no option \"{}\"; a table is written to ark[,t][,f]:FILE, scp[,t][,p]:FILE or "
          "ark,scp:FILE,FILE",
          text, word);
    }
  }
  if (!specifier.archive && !specifier.script)
    fail_usage("{}: a table is written to an ark, an scp or both", text);
  if (specifier.archive && specifier.script)
    split_pair(specifier, parts.rest);
  else
    (specifier.archive ? specifier.archive_wxfilename : specifier.script_wxfilename) = parts.rest;
  if (specifier.archive) parse_wxfilename(specifier.archive_wxfilename);
  if (specifier.script && specifier.archive) parse_wxfilename(specifier.script_wxfilename);
  if (specifier.script && !specifier.archive) parse_rxfilename(specifier.script_wxfilename);
  return specifier;
}

Rxfilename parse_rxfilename(const std::string& text) {
  if (text.empty() || text == "-") return {};
  if (const std::string fault = common_fault(text); !fault.empty()) fail_usage("\"{}\": {}", text, fault);
  if (text.front() == '|') fail_usage("\"{}\": a command that is read from ends in |", text);
  if (text.back() == '|') return {StreamKind::command, text.substr(0, text.size() - 1), 0};
  if (const std::size_t colon = offset_colon(text); colon != std::string::npos && colon > 0)
    return {StreamKind::file, text.substr(0, colon),
            parse_offset(text, std::string_view(text).substr(colon + 1))};
  if (text.find('|') != std::string::npos && !is_digit(text.back()))
    fail_usage("\"{}\": a command that is read from ends in |", text);
  return {StreamKind::file, text, 0};
}

Wxfilename parse_wxfilename(const std::string& text) {
  if (text.empty() || text == "-") return {};
  if (text.front() == '|') return {StreamKind::command, text.substr(1)};
  if (const std::string fault = common_fault(text); !fault.empty()) fail_usage("\"{}\": {}", text, fault);
  if (offset_colon(text) != std::string::npos)
    fail_usage("\"{}\": reads as a place in a file, where nothing can be written", text);
  if (text.find('|') != std::string::npos && (text.back() == '|' || !is_digit(text.back())))
    fail_usage("\"{}\": a command that is written to begins with |", text);
  return {StreamKind::file, text};
}

KaldiRange parse_kaldi_range(const std::string& text) {
  KaldiRange range;
  const std::vector<std::string> parts = split(text, ',');
  if (parts.size() > 2) fail_usage("[{}]: a range has rows and columns, nothing more", text);
  parse_ends(parts[0], text, &range.first_row, &range.last_row);
  if (parts.size() == 2) parse_ends(parts[1], text, &range.first_column, &range.last_column);
  return range;
}

}  // namespace retort
