#include "prepare/prepare.h"

#include <cstdio>
#include <map>
#include <set>
#include <unordered_map>

#include "base/bad_items.h"
#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "corpus/corpus.h"
#include "corpus/sources.h"
#include "prepare/metadata.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr const char* subsystem = "prepare";
constexpr std::size_t files_ahead_per_thread = 4;

// What decoding a file showed.
struct CheckedFile {
  AudioInfo info;
  std::string reason;  // why it cannot be used, or empty
  std::string message;
};

struct Rejected {
  std::string id;
  fs::path path;
  std::string reason;
  std::string message;
};

struct Prepared {
  std::vector<Utterance> utterances;
  std::vector<Rejected> rejected;
};

CheckedFile check_file(const fs::path& path) {
  try {
    return {check_audio(path), "", ""};
  } catch (const AudioError& error) {
    return {{}, error.reason(), error.what()};
  }
}

using CheckedFiles = std::unordered_map<std::string, CheckedFile>;

// Decodes every file that a candidate names, once.
CheckedFiles check_files(const std::vector<Candidate>& candidates, int threads) {
  std::vector<fs::path> paths;
  CheckedFiles checked;
  for (const Candidate& candidate : candidates)
    if (checked.emplace(candidate.path.string(), CheckedFile{}).second) paths.push_back(candidate.path);

  const int workers = threads > 0 ? threads : available_threads();
  Progress progress("prepare", "files", static_cast<double>(paths.size()));
  Prefetcher<CheckedFile> files(paths.size(), workers,
                                files_ahead_per_thread * static_cast<std::size_t>(workers),
                                [&](std::size_t i) { return check_file(paths[i]); });
  for (const fs::path& path : paths) {
    throw_if_stopped();
    checked[path.string()] = files.next();
    progress.advance(1);
  }
  return checked;
}

Utterance make_utterance(const Candidate& candidate, const AudioInfo& file) {
  const AudioSegment segment = segment_of(candidate, file);
  Utterance utterance{candidate.id, candidate.path,  segment.start,  segment.samples,
                      file.rate,    segment.channel, candidate.extra};
  if (utterance.model_samples() < shortest_audio)
    throw AudioError("too-short",
                     fmt::format("{}: {} samples at 16 kHz, at least {} are needed", candidate.path.string(),
                                 utterance.model_samples(), shortest_audio));
  return utterance;
}

// Why the user's limits leave an utterance out, or "".
std::string outside_limits(double seconds, const PrepareOptions& options) {
  if (seconds < options.min_seconds) return "too-short";
  if (options.max_seconds > 0 && seconds > options.max_seconds) return "too-long";
  return "";
}

// The path has a key of its own in the line; as the user spelt it, it would differ from machine to machine.
std::string without_path(const std::string& message, const fs::path& path) {
  const std::string prefix = path.string() + ": ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

Prepared sort_out(const std::vector<Candidate>& candidates, const CheckedFiles& files,
                  const PrepareOptions& options, BadItems& bad) {
  Prepared prepared;
  const auto reject = [&](const Candidate& candidate, const std::string& reason, const std::string& message) {
    prepared.rejected.push_back(
        {candidate.id, candidate.path, reason, without_path(message, candidate.path)});
  };
  for (const Candidate& candidate : candidates) {
    const CheckedFile& file = files.at(candidate.path.string());
    try {
      if (!file.reason.empty()) throw AudioError(file.reason, file.message);
      Utterance utterance = make_utterance(candidate, file.info);
      const double seconds = static_cast<double>(utterance.samples) / utterance.rate;
      const std::string left_out = outside_limits(seconds, options);
      if (left_out.empty()) {
        prepared.utterances.push_back(std::move(utterance));
      } else {
        reject(candidate, left_out, fmt::format("{:.2f} s, outside the limits that were asked for", seconds));
      }
    } catch (const AudioError& error) {
      bad.add(candidate.id, error.reason(), error.what());
      reject(candidate, error.reason(), error.what());
    }
  }
  return prepared;
}

void add_metadata(const Metadata& metadata, const std::string& path, std::vector<Utterance>& utterances) {
  std::size_t described = 0;
  for (Utterance& utterance : utterances) {
    const auto found = metadata.find(utterance.id);
    if (found == metadata.end()) continue;
    ++described;
    for (const auto& [key, value] : found->second.items()) utterance.extra[key] = value;
  }
  if (described == 0) fail("{}: none of its ids is in the corpus", path);
  if (described < utterances.size())
    log_warning(subsystem, "{} of {} utterances are not in {}", utterances.size() - described,
                utterances.size(), path);
  if (described < metadata.size())
    log_info(subsystem, "{} of the {} lines of {} belong to no utterance", metadata.size() - described,
             metadata.size(), path);
}

std::string corpus_text(const std::vector<Utterance>& utterances, const fs::path& folder) {
  std::string text;
  for (const Utterance& utterance : utterances) text += corpus_line(utterance, folder);
  return text;
}

std::string rejected_text(const std::vector<Rejected>& rejected, const fs::path& folder) {
  std::string text;
  for (const Rejected& one : rejected) {
    const Json line = {{"id", one.id},
                       {"path", relative_path(one.path, folder)},
                       {"reason", one.reason},
                       {"message", one.message}};
    text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return text;
}

bool holds(const fs::path& path, const std::string& text) {
  return fs::exists(path) ? read_file(path) == text : text.empty();
}

// No text: no file.
void replace_file(const fs::path& path, const std::string& text) {
  if (text.empty()) {
    fs::remove(path);
    return;
  }
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

// The rejected file goes first: where the corpus is, the job is done.
void write_outputs(const PrepareOptions& options, const Prepared& prepared) {
  if (options.output == "-") {
    const std::string text = corpus_text(prepared.utterances, fs::current_path());
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      fail("standard output: writing failed");
    return;
  }
  const fs::path output(options.output);
  const fs::path rejected_output = fs::path(output).replace_extension(".rejected.jsonl");
  const fs::path folder = fs::absolute(output).lexically_normal().parent_path();
  const std::string corpus = corpus_text(prepared.utterances, folder);
  const std::string rejected = rejected_text(prepared.rejected, folder);
  if (corpus.empty()) {  // the job fails; a corpus from before is none of its business
    replace_file(rejected_output, rejected);
    return;
  }
  if (holds(output, corpus) && holds(rejected_output, rejected)) {
    log_info(subsystem, "{} is there already and would be the same: nothing to do", options.output);
    return;
  }
  if (fs::exists(output) && !options.overwrite)
    fail("{}: exists and would change; use --overwrite to replace it", options.output);
  replace_file(rejected_output, rejected);
  replace_file(output, corpus);
}

void log_summary(const Prepared& prepared, const CheckedFiles& files) {
  std::set<std::string> resampled;
  std::set<std::string> downmixed;
  std::set<std::string> speakers;
  double seconds = 0;
  for (const Utterance& utterance : prepared.utterances) {
    const std::string path = utterance.path.string();
    seconds += static_cast<double>(utterance.samples) / utterance.rate;
    if (utterance.rate != model_rate) resampled.insert(path);
    if (utterance.channel < 0 && files.at(path).info.channels > 1) downmixed.insert(path);
    if (utterance.extra.contains("speaker")) speakers.insert(utterance.extra["speaker"].dump());
  }
  if (!resampled.empty())
    log_info(subsystem, "{} files are not at 16 kHz and will be resampled when read", resampled.size());
  if (!downmixed.empty())
    log_info(subsystem, "{} files have several channels and will be mixed down when read", downmixed.size());
  log_info(subsystem, "{} utterances, {:.2f} hours, {} speakers, {} left out", prepared.utterances.size(),
           seconds / 3600, speakers.size(), prepared.rejected.size());
}

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty()) fail_usage("no INPUT was given");
  if (options.output.empty()) fail_usage("no output was given (-o corpus.jsonl)");
  if (options.output != "-" && fs::path(options.output).extension() != ".jsonl")
    fail_usage("-o {}: the name of a corpus file ends in .jsonl", options.output);
  if (options.max_seconds > 0 && options.max_seconds < options.min_seconds)
    fail_usage("--max-seconds {} is less than --min-seconds {}", options.max_seconds, options.min_seconds);
}

}  // namespace

void run_prepare(const PrepareOptions& options) {
  check_options(options);
  std::vector<Candidate> candidates;
  for (const std::string& input : options.inputs) {
    std::vector<Candidate> found = find_candidates(input);
    std::move(found.begin(), found.end(), std::back_inserter(candidates));
  }
  assign_ids(candidates);
  Metadata metadata;
  if (!options.metadata.empty()) metadata = read_metadata(options.metadata);

  const CheckedFiles files = check_files(candidates, options.threads);
  BadItems bad(subsystem, options.max_bad);
  Prepared prepared = sort_out(candidates, files, options, bad);
  if (!options.metadata.empty() && !prepared.utterances.empty())
    add_metadata(metadata, options.metadata, prepared.utterances);
  write_outputs(options, prepared);
  log_summary(prepared, files);
  bad.judge(candidates.size());
  if (prepared.utterances.empty()) fail("nothing is left within the limits of length that were asked for");
}

}  // namespace retort
