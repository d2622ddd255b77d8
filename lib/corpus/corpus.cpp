#include "corpus/corpus.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "audio/piped_audio.h"
#include "base/files.h"
#include "base/hash.h"
#include "corpus/corpus_lines.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view corpus_extension = ".jsonl";
constexpr int64_t most_samples = int64_t{1} << 40;  // two years at 16 kHz; resampled_length is safe with it

Utterance parse_utterance(std::string_view line, const fs::path& folder, const std::string& where) {
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

// Of a table of texts: part of a text's hash, and its number.
struct Slot {
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr std::size_t ahead = 16;  // slots are all over the memory, so they are asked for early

  uint32_t tag = 0;
  uint32_t number = none;
};

// The numbers of two texts that are the same, by their hashes and `same`; none where all differ. A table of
// hashes: a set of a million texts takes longer to fill than the texts to read.
template <class Same>
std::optional<std::pair<std::size_t, std::size_t>> find_repeated(const std::vector<std::size_t>& hashes,
                                                                 const Same& same) {
  std::vector<Slot> slots(std::bit_ceil(2 * hashes.size() + 1));
  const std::size_t mask = slots.size() - 1;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (i + Slot::ahead < hashes.size()) __builtin_prefetch(&slots[hashes[i + Slot::ahead] & mask], 1);
    const auto tag = static_cast<uint32_t>(hashes[i] >> 32);
    std::size_t place = hashes[i] & mask;
    for (; slots[place].number != Slot::none; place = (place + 1) & mask)
      if (slots[place].tag == tag && same(slots[place].number, i))
        return std::pair<std::size_t, std::size_t>{slots[place].number, i};
    slots[place] = {tag, static_cast<uint32_t>(i)};
  }
  return std::nullopt;
}

// The text that a corpus's hash is taken of: a line per utterance.
void append_identity(std::string& text, std::string_view id, int64_t start, int64_t samples, int64_t rate,
                     int64_t channel) {
  text += id;
  for (const int64_t number : {start, samples, rate, channel}) {
    char digits[24];
    digits[0] = '\t';
    text.append(digits, std::to_chars(digits + 1, std::end(digits), number).ptr);
  }
  text += '\n';
}

// Goes over a corpus file's lines; keeps what divides them.
class CorpusLines {
 public:
  explicit CorpusLines(const fs::path& path)
      : path_(path),
        folder_(path.parent_path()),
        file_(path),
        lines_(split_lines({reinterpret_cast<const char*>(file_.data()), file_.size()})) {
    if (lines_.empty()) fail("{}: the corpus is empty", path.string());
    if (lines_.size() >= UINT32_MAX) fail("{}: has more lines than a corpus may have", path.string());
    weights_.reserve(lines_.size());
    id_hashes_.reserve(lines_.size());
    for (std::size_t i = 0; i < lines_.size(); ++i) add(i);
    hasher_.add(identity_);
    require_unique_ids();
  }

  CorpusShard shard(const Shard& shard) const {
    const Range range = shard_range(weights_, shard);
    std::vector<Utterance> utterances;
    utterances.reserve(range.size());
    for (std::size_t i = range.begin; i < range.end; ++i) utterances.push_back(parse(i));
    return {Corpus(std::move(utterances)), hasher_.hex(), lines_.size()};
  }

 private:
  static constexpr std::size_t identity_bytes = 1 << 16;

  std::string where(std::size_t line) const { return fmt::format("{} line {}", path_.string(), line + 1); }
  Utterance parse(std::size_t line) const { return parse_utterance(lines_[line], folder_, where(line)); }

  void add(std::size_t line) {
    if (const auto fields = scan_corpus_line(lines_[line])) {
      const int64_t rate = fields->rate > 0 ? fields->rate : model_rate;
      take(fields->id, fields->start, fields->samples, static_cast<int>(rate),
           static_cast<int>(fields->channel));
    } else {
      const Utterance one = parse(line);
      take(one.id, one.start, one.samples, one.rate, one.channel);
    }
  }

  void require_unique_ids() const {
    const auto repeated = find_repeated(id_hashes_, [&](std::size_t first, std::size_t second) {
      return parse(first).id == parse(second).id;
    });
    if (repeated)
      fail("{}: id \"{}\" was already used in line {}", where(repeated->second), parse(repeated->second).id,
           repeated->first + 1);
  }

  void take(std::string_view id, int64_t start, int64_t samples, int rate, int channel) {
    id_hashes_.push_back(std::hash<std::string_view>()(id));
    append_identity(identity_, id, start, samples, rate, channel);
    if (identity_.size() >= identity_bytes) {
      hasher_.add(identity_);
      identity_.clear();
    }
    weights_.push_back(resampled_length(samples, rate, model_rate));
  }

  fs::path path_, folder_;
  MappedFile file_;
  std::vector<std::string_view> lines_;
  std::string identity_;  // not yet in hasher_
  Hasher hasher_;
  std::vector<std::size_t> id_hashes_;
  std::vector<int64_t> weights_;  // samples at 16 kHz
};

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

void require_corpus_file(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: no such corpus file; retort-prepare makes one", path.string());
}

bool is_corpus_file(const std::string& input) {
  return fs::path(input).extension() == corpus_extension;
}

// Whether INPUT is a corpus file; an Error for more than that.
bool names_corpus(const std::vector<std::string>& inputs) {
  if (std::none_of(inputs.begin(), inputs.end(), is_corpus_file)) return false;
  if (inputs.size() > 1)
    fail_usage("INPUT is one corpus file or audio files, not several corpora or a mixture");
  return true;
}

}  // namespace

Corpus Corpus::read(const fs::path& path) {
  require_corpus_file(path);
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
  std::string line;
  for (const Utterance& one : utterances_) {
    line.clear();
    append_identity(line, one.id, one.start, one.samples, one.rate, one.channel);
    hasher.add(line);
  }
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
  return names_corpus(inputs) ? Corpus::read(inputs.front()) : Corpus::of_files(inputs);
}

CorpusShard read_corpus_shard(const std::vector<std::string>& inputs, const Shard& shard) {
  if (names_corpus(inputs)) {
    require_corpus_file(inputs.front());
    return CorpusLines(inputs.front()).shard(shard);
  }
  const Corpus whole = Corpus::of_files(inputs);
  const Range range = whole.range(shard);
  const auto begin = whole.utterances().begin();
  return {Corpus({begin + static_cast<std::ptrdiff_t>(range.begin),
                  begin + static_cast<std::ptrdiff_t>(range.end)}),
          whole.hash(), whole.size()};
}

std::vector<float> load_utterance(const Utterance& utterance) {
  try {
    return load_waveform(utterance.segment());
  } catch (const AudioError& error) {
    throw AudioError(error.reason(), fmt::format("utterance {}: {}", utterance.id, error.what()));
  }
}

}  // namespace retort
