// A corpus: one JSON line per utterance (docs/formats.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "audio/waveform.h"
#include "base/json.h"
#include "base/shard.h"

namespace retort {

struct Utterance {
  std::string id;
  // As found on this machine: absolute, or relative to the working folder; or a command that ends in |.
  std::filesystem::path path;
  int64_t start = 0;    // first sample in the file, at `rate`
  int64_t samples = 0;  // at `rate`
  int rate = model_rate;
  int channel = -1;             // -1: mean of all channels
  Json extra = Json::object();  // speaker, text, lang, labels: everything else the line holds

  AudioSegment segment() const { return {path, start, samples, channel, rate}; }
  int64_t model_samples() const { return resampled_length(samples, rate, model_rate); }  // at 16 kHz
};

class Corpus {
 public:
  // Reads corpus.jsonl. Refuses an empty file, a line without id, path or samples, and ids that repeat.
  static Corpus read(const std::filesystem::path& path);
  // Audio files given by name: id is the stem, or the path as given where stems repeat. "-" is the audio file
  // that comes from standard input, whose stem is taken to be "stdin".
  static Corpus of_files(const std::vector<std::string>& paths);

  explicit Corpus(std::vector<Utterance> utterances) : utterances_(std::move(utterances)) {}

  const std::vector<Utterance>& utterances() const { return utterances_; }
  std::size_t size() const { return utterances_.size(); }
  // Identity over ids, order, samples, rates, starts and channels; not over paths, so a corpus can be moved.
  std::string hash() const;
  // Seconds of audio in all.
  double seconds() const;
  // The shard's utterances, contiguous and balanced by samples.
  Range range(const Shard& shard) const;

 private:
  std::vector<Utterance> utterances_;
};

// `path` as it is written into a file in `folder` (absolute), with slashes; a command stays as it is.
std::string relative_path(const std::filesystem::path& path, const std::filesystem::path& folder);

// The utterance's line, with its newline; the path becomes relative to `folder`, which is absolute.
std::string corpus_line(const Utterance& utterance, const std::filesystem::path& folder);

// Writes corpus.jsonl atomically; paths become relative to its folder.
void write_corpus(const std::filesystem::path& path, const std::vector<Utterance>& utterances);

// An INPUT that is a corpus file (.jsonl) or audio files.
Corpus read_corpus_input(const std::vector<std::string>& inputs);

// A shard's utterances, and what there is to know of the corpus that they are of.
struct CorpusShard {
  Corpus corpus;           // of the shard's utterances alone
  std::string whole_hash;  // Corpus::hash() of the whole corpus
  std::size_t whole_size = 0;
};

// The same utterances as Corpus::range() gives. Of a corpus file's other lines only what divides it is read,
// which takes a fraction of a second for a million; they are held to the same rules as by Corpus::read().
CorpusShard read_corpus_shard(const std::vector<std::string>& inputs, const Shard& shard);

// The utterance's audio at 16 kHz; throws AudioError (named by the utterance) where it cannot be used or does
// not have the length that the corpus states.
std::vector<float> load_utterance(const Utterance& utterance);

}  // namespace retort
