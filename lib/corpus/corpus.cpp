#include "corpus/corpus.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "audio/piped_audio.h"
#include "base/files.h"
#include "base/hash.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view corpus_extension = ".jsonl";
constexpr int64_t most_samples = int64_t{1} << 40;  // two years at 16 kHz; resampled_length is safe with it

Utterance parse_utterance(const std::string& line, const fs::path& folder, const std::string& where) {
  Json json = parse_json(line, where);
  if (!json.is_object()) fail("{}: not a JSON object", where);
  Utterance utterance;
  utterance.id = json_get<std::string>(json, "id", where);
  utterance.path = json_get<std::string>(json, "path", where);
  if (is_standard_input(utterance.path)) utterance.path = "./-";  // a corpus lists files
  if (!is_audio_command(utterance.path)) utterance.path = folder / utterance.path;
  utterance.start = json_get_or<int64_t>(json, "start", 0, where);
  utterance.samples = json_get<int64_t>(json, "samples", where);
  utterance.rate = json_get_or<int>(json, "rate", model_rate, where);
  utterance.channel = json_get_or<int>(json, "channel", -1, where);
  if (utterance.id.empty()) fail("{}: \"id\" is empty", where);
  if (utterance.start < 0 || utterance.samples < 0 || utterance.samples > most_samples || utterance.rate < 1)
    fail("{}: \"start\", \"samples\" or \"rate\" is out of range", where);
  for (const char* key : {"id", "path", "start", "samples", "rate", "channel"}) json.erase(key);
  utterance.extra = std::move(json);
  return utterance;
}

// A file that a user named. One that cannot be used becomes an utterance without samples, so that whoever
// loads it learns the reason and the others are still worked on; a name that is wrong is refused at once.
Utterance utterance_of_file(const std::string& path) {
  Utterance utterance;
  utterance.path = path;
  try {
    const AudioInfo info = read_audio_info(path);
    utterance.samples = info.samples;
    utterance.rate = info.rate;
  } catch (const AudioError& error) {
    if (error.reason() == "missing") throw;
  }
  return utterance;
}

// What a file given by name is called, where no other one has that name.
std::string stem_of(const std::string& path) {
  return is_standard_input(path) ? "stdin" : fs::path(path).stem().string();
}

bool is_corpus_file(const std::string& input) {
  return fs::path(input).extension() == corpus_extension;
}

}  // namespace

Corpus Corpus::read(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: no such corpus file; retort-prepare makes one", path.string());
  const fs::path folder = path.parent_path();
  std::vector<Utterance> utterances;
  std::unordered_map<std::string, std::size_t> lines_by_id;
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    const std::string where = fmt::format("{} line {}", path.string(), ++number);
    Utterance utterance = parse_utterance(line, folder, where);
    const auto [first, is_new] = lines_by_id.emplace(utterance.id, number);
    if (!is_new) fail("{}: id \"{}\" was already used in line {}", where, utterance.id, first->second);
    utterances.push_back(std::move(utterance));
  }
  if (utterances.empty()) fail("{}: the corpus is empty", path.string());
  return Corpus(std::move(utterances));
}

Corpus Corpus::of_files(const std::vector<std::string>& paths) {
  if (paths.empty()) fail("no audio files were given");
  std::map<std::string, int> stems;
  for (const std::string& path : paths) ++stems[stem_of(path)];
  std::set<std::string> ids;
  std::vector<Utterance> utterances;
  for (const std::string& path : paths) {
    if (fs::is_directory(path))
      fail("{}: is a folder, audio files were expected; retort-prepare makes a corpus of a folder", path);
    Utterance utterance = utterance_of_file(path);
    const std::string stem = stem_of(path);
    utterance.id = stems[stem] == 1 ? stem : path;
    if (!ids.insert(utterance.id).second) fail("{}: given twice", path);
    utterances.push_back(std::move(utterance));
  }
  return Corpus(std::move(utterances));
}

std::string Corpus::hash() const {
  Hasher hasher;
  for (const Utterance& one : utterances_)
    hasher.add(fmt::format("{}\t{}\t{}\t{}\t{}\n", one.id, one.start, one.samples, one.rate, one.channel));
  return hasher.hex();
}

double Corpus::seconds() const {
  double seconds = 0;
  for (const Utterance& one : utterances_) seconds += static_cast<double>(one.samples) / one.rate;
  return seconds;
}

Range Corpus::range(const Shard& shard) const {
  std::vector<int64_t> weights;
  weights.reserve(utterances_.size());
  for (const Utterance& one : utterances_) weights.push_back(one.model_samples());
  return shard_range(weights, shard);
}

std::string relative_path(const fs::path& path, const fs::path& folder) {
  if (is_audio_command(path)) return path.string();
  const fs::path relative = fs::absolute(path).lexically_normal().lexically_relative(folder);
  return (relative.empty() ? fs::absolute(path).lexically_normal() : relative).generic_string();
}

std::string corpus_line(const Utterance& utterance, const fs::path& folder) {
  Json json = {{"id", utterance.id},       {"path", relative_path(utterance.path, folder)},
               {"start", utterance.start}, {"samples", utterance.samples},
               {"rate", utterance.rate},   {"channel", utterance.channel}};
  for (const auto& [key, value] : utterance.extra.items()) json[key] = value;
  try {
    return json.dump() + "\n";
  } catch (const Json::type_error&) {
    fail("utterance {}: its id, path or text is not UTF-8, which a corpus file needs", utterance.id);
  }
}

void write_corpus(const fs::path& path, const std::vector<Utterance>& utterances) {
  AtomicFile file(path);
  const fs::path folder = fs::absolute(path).lexically_normal().parent_path();
  for (const Utterance& utterance : utterances) file.write(corpus_line(utterance, folder));
  file.commit();
}

Corpus read_corpus_input(const std::vector<std::string>& inputs) {
  const auto corpora = std::count_if(inputs.begin(), inputs.end(), is_corpus_file);
  if (corpora == 0) return Corpus::of_files(inputs);
  if (inputs.size() > 1)
    fail_usage("INPUT is one corpus file or audio files, not several corpora or a mixture");
  return Corpus::read(inputs.front());
}

std::vector<float> load_utterance(const Utterance& utterance) {
  try {
    return load_waveform(utterance.segment());
  } catch (const AudioError& error) {
    throw AudioError(error.reason(), fmt::format("utterance {}: {}", utterance.id, error.what()));
  }
}

}  // namespace retort
