#include "corpus/sources.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <unordered_map>

#include "base/files.h"
#include "base/utf8.h"
#include "corpus/kaldi_data.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr double longest_overshoot = 0.5;  // seconds, as extract-segments --max-overshoot
constexpr double shortest_segment = 0.1;   // seconds, as extract-segments --min-segment-length

template <class... Args>
[[noreturn]] void refuse(const char* reason, fmt::format_string<Args...> format, Args&&... args) {
  throw AudioError(reason, fmt::format(format, std::forward<Args>(args)...));
}

std::string ending_of(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending;
}

bool has_audio_ending(const fs::path& path) {
  static const std::initializer_list<std::string_view> endings = {
      ".wav",  ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif",  ".aiff",
      ".aifc", ".au",   ".snd",  ".caf", ".w64", ".rf64", ".sph", ".nist", ".voc"};
  return std::find(endings.begin(), endings.end(), ending_of(path)) != endings.end();
}

std::string without_ending(fs::path path) {
  return path.replace_extension().generic_string();
}

std::vector<Candidate> scan_folder(const fs::path& folder) {
  std::vector<std::string> found;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
      if (has_audio_ending(entry.path()) && entry.is_regular_file())
        found.push_back(entry.path().lexically_relative(folder).generic_string());
  } catch (const fs::filesystem_error& error) {
    fail("{}: cannot be read ({})", error.path1().string(), error.code().message());
  }
  if (found.empty()) fail("{}: no audio files in this folder", folder.string());
  std::sort(found.begin(), found.end());
  std::vector<Candidate> candidates;
  for (const std::string& relative : found) {
    Candidate candidate;
    candidate.path = folder / relative;
    candidate.long_id = without_ending(relative);
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

std::string without_return(std::string line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

std::vector<Candidate> candidates_of_lines(const std::vector<std::string>& lines, const fs::path& folder) {
  std::vector<Candidate> candidates;
  for (const std::string& raw : lines) {
    const std::string line = without_return(raw);
    if (line.empty()) continue;
    Candidate candidate;
    candidate.path = find_listed(line, folder);
    candidate.long_id = without_ending(line);
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

std::vector<Candidate> read_standard_input() {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  return candidates_of_lines(lines, "");
}

// fairseq's manifest: the folder, then "path<TAB>samples" lines.
std::vector<Candidate> read_fairseq_manifest(const fs::path& path) {
  const std::vector<std::string> lines = read_lines(path);
  if (lines.empty()) fail("{}: an empty file; a fairseq manifest begins with a folder", path.string());
  const fs::path root = find_listed(without_return(lines.front()), path.parent_path());
  std::vector<Candidate> candidates;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::string line = without_return(lines[i]);
    if (line.empty()) continue;
    const std::size_t tab = line.find('\t');
    Candidate candidate;
    const char* const end = line.data() + line.size();
    const auto [parsed, error] = tab == std::string::npos
                                     ? std::from_chars_result{end, std::errc::invalid_argument}
                                     : std::from_chars(line.data() + tab + 1, end, candidate.stated_samples);
    if (error != std::errc() || parsed != end || candidate.stated_samples < 0)
      fail("{} line {}: should be PATH<TAB>SAMPLES", path.string(), i + 1);
    const std::string relative = line.substr(0, tab);
    candidate.path = root / relative;
    candidate.long_id = without_ending(relative);
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

std::vector<Candidate> single_file(const std::string& input) {
  Candidate candidate;
  candidate.path = input;
  candidate.long_id = input;
  return {candidate};
}

std::vector<Candidate> read_source(const std::string& input) {
  if (input == "-") return read_standard_input();
  const fs::path path(input);
  if (!fs::exists(path)) fail("{}: no such file or folder", input);
  if (fs::is_directory(path)) return fs::exists(path / "wav.scp") ? read_kaldi_data(path) : scan_folder(path);
  const std::string ending = ending_of(path);
  if (ending == ".jsonl") fail_usage("{}: is a corpus file already, it needs no preparation", input);
  if (ending == ".scp") return read_wav_scp(path);
  if (ending == ".tsv") return read_fairseq_manifest(path);
  if (ending == ".txt" || ending == ".lst" || ending == ".list")
    return candidates_of_lines(read_lines(path), path.parent_path());
  return single_file(input);
}

void check_length(const Candidate& candidate, const AudioInfo& file) {
  const int64_t stated = candidate.stated_samples;
  if (stated >= 0 && stated != file.samples)
    refuse("wrong-length", "{}: {} samples, its manifest says {}", candidate.path.string(), file.samples,
           stated);
}

}  // namespace

std::vector<Candidate> find_candidates(const std::string& input) {
  std::vector<Candidate> candidates = read_source(input);
  if (candidates.empty()) fail("{}: names no audio", input == "-" ? "standard input" : input);
  return candidates;
}

void assign_ids(std::vector<Candidate>& candidates) {
  std::unordered_map<std::string, int> stems;
  for (const Candidate& one : candidates)
    if (one.id.empty()) ++stems[one.path.stem().string()];
  std::unordered_map<std::string, const Candidate*> owners;
  for (Candidate& one : candidates) {
    if (one.id.empty()) {
      const std::string stem = one.path.stem().string();
      one.id = stems.at(stem) == 1 ? stem : one.long_id;
    }
    if (!is_utf8(one.id) || !is_utf8(one.path.string()))
      fail("{}: the name is not UTF-8, which a corpus file needs; rename it", one.path.string());
    const auto [owner, is_new] = owners.emplace(one.id, &one);
    if (!is_new)
      fail("id {} would be that of both {} and {}; rename one or leave it out", one.id,
           owner->second->path.string(), one.path.string());
  }
}

AudioSegment segment_of(const Candidate& candidate, const AudioInfo& file) {
  const std::string name = candidate.path.string();
  check_length(candidate, file);
  if (candidate.channel >= file.channels)
    refuse("no-such-channel", "{}: channel {} was asked for, the file has {}", name, candidate.channel,
           file.channels);
  AudioSegment segment{candidate.path, 0, file.samples, candidate.channel, file.rate};
  if (!candidate.is_segment) return segment;

  const auto sample_at = [&](double seconds) { return static_cast<int64_t>(seconds * file.rate + 0.5); };
  const bool to_end = candidate.end == -1;
  const int64_t end = to_end ? file.samples : sample_at(candidate.end);
  segment.start = sample_at(candidate.start);
  if (candidate.start < 0 || segment.start >= file.samples || end <= segment.start)
    refuse("bad-segment", "{}: no audio from {} s to {} s, the file has {:.2f} s", name, candidate.start,
           candidate.end, static_cast<double>(file.samples) / file.rate);
  if (static_cast<double>(end - file.samples) >= longest_overshoot * file.rate)
    refuse("bad-segment", "{}: the segment ends at {} s, the file at {:.2f} s", name, candidate.end,
           static_cast<double>(file.samples) / file.rate);
  segment.samples = std::min(end, file.samples) - segment.start;
  if (static_cast<double>(segment.samples) <= shortest_segment * file.rate)
    refuse("too-short", "{}: the segment has {:.3f} s, more than {} s are needed", name,
           static_cast<double>(segment.samples) / file.rate, shortest_segment);
  return segment;
}

}  // namespace retort
