#include "corpus/kaldi_data.h"

#include <charconv>
#include <cmath>
#include <unordered_map>

#include "audio/piped_audio.h"
#include "base/files.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view blanks = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

struct TableLine {
  std::string where;  // for errors
  std::string key;
  std::string value;  // trimmed; may be empty
};

// The lines "key value" of a Kaldi text table.
std::vector<TableLine> read_table(const fs::path& path) {
  std::vector<TableLine> table;
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    const std::string_view text = trim(line);
    if (text.empty()) continue;
    const std::size_t split = text.find_first_of(blanks);
    const std::string_view value = split == std::string_view::npos ? "" : trim(text.substr(split));
    table.push_back({fmt::format("{} line {}", path.string(), number), std::string(text.substr(0, split)),
                     std::string(value)});
  }
  return table;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (text = trim(text); !text.empty();) {
    const std::size_t end = std::min(text.find_first_of(blanks), text.size());
    words.emplace_back(text.substr(0, end));
    text = trim(text.substr(end));
  }
  return words;
}

template <class Number>
Number parse_number(const std::string& text, const std::string& where) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) fail("{}: {} is not a number", where, text);
  return number;
}

double parse_seconds(const std::string& text, const std::string& where) {
  constexpr double longest = 1e9;
  const auto seconds = parse_number<double>(text, where);
  if (!(std::abs(seconds) < longest)) fail("{}: {} is not a time in seconds", where, text);
  return seconds;
}

bool is_archive_offset(const std::string& path) {
  const std::size_t colon = path.rfind(':');
  return colon != std::string::npos && colon + 1 < path.size() &&
         path.find_first_not_of("0123456789", colon + 1) == std::string::npos && !fs::exists(path);
}

fs::path recording_path(const TableLine& line, const fs::path& folder) {
  if (line.value.empty()) fail("{}: recording {} has no path", line.where, line.key);
  if (is_audio_command(line.value)) return line.value;
  if (is_archive_offset(line.value))
    fail("{}: recording {} is in an archive; copy it to a file (wav-copy does) and list that", line.where,
         line.key);
  return find_listed(line.value, folder);
}

std::vector<Candidate> read_segments(const fs::path& path, const std::vector<Candidate>& recordings) {
  std::unordered_map<std::string, fs::path> paths;
  for (const Candidate& recording : recordings) paths.emplace(recording.id, recording.path);
  std::vector<Candidate> segments;
  for (const TableLine& line : read_table(path)) {
    const std::vector<std::string> fields = words_of(line.value);
    if (fields.size() != 3 && fields.size() != 4)
      fail("{}: should be UTTERANCE RECORDING START END [CHANNEL]", line.where);
    const auto found = paths.find(fields[0]);
    if (found == paths.end()) fail("{}: recording {} is not in wav.scp", line.where, fields[0]);
    Candidate segment;
    segment.id = line.key;
    segment.path = found->second;
    segment.is_segment = true;
    segment.start = parse_seconds(fields[1], line.where);
    segment.end = parse_seconds(fields[2], line.where);
    if (fields.size() == 4) segment.channel = parse_number<int>(fields[3], line.where);
    segments.push_back(std::move(segment));
  }
  return segments;
}

// Adds the values of an utterance table under `key`; utterances that the table does not have go without.
void add_extra(const fs::path& table, const std::string& key, std::vector<Candidate>& candidates) {
  if (!fs::exists(table)) return;
  std::unordered_map<std::string, std::string> values;
  for (TableLine& line : read_table(table))
    if (!values.emplace(line.key, std::move(line.value)).second)
      fail("{}: {} was there before", line.where, line.key);
  for (Candidate& candidate : candidates)
    if (const auto found = values.find(candidate.id); found != values.end())
      candidate.extra[key] = found->second;
}

}  // namespace

fs::path find_listed(const std::string& path, const fs::path& folder) {
  return fs::path(path).is_absolute() || fs::exists(path) ? fs::path(path) : folder / path;
}

std::vector<Candidate> read_wav_scp(const fs::path& path) {
  std::vector<Candidate> recordings;
  for (const TableLine& line : read_table(path)) {
    Candidate recording;
    recording.id = line.key;
    recording.path = recording_path(line, path.parent_path());
    recordings.push_back(std::move(recording));
  }
  return recordings;
}

std::vector<Candidate> read_kaldi_data(const fs::path& folder) {
  std::vector<Candidate> candidates = read_wav_scp(folder / "wav.scp");
  if (fs::exists(folder / "segments")) candidates = read_segments(folder / "segments", candidates);
  add_extra(folder / "utt2spk", "speaker", candidates);
  add_extra(folder / "utt2lang", "lang", candidates);
  add_extra(folder / "text", "text", candidates);
  return candidates;
}

}  // namespace retort
