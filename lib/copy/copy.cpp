#include "copy/copy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <unordered_map>

#include "audio/command_audio.h"
#include "base/files.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "store/frame_store.h"
#include "store/kaldi_table.h"
#include "store/npy.h"
#include "store/product_codebook.h"

namespace retort {
namespace {

// One utterance on its way: frames, or labels where the input holds labels.
struct Item {
  std::string id;
  int64_t samples = 0;
  Matrix frames;
  std::vector<int32_t> labels;
};

struct Input {
  StoreInfo info;
  std::function<void(const std::function<void(const Item&)>&)> for_each;
};

bool ends_in(const std::string& name, const char* extension) {
  return std::filesystem::path(name).extension() == extension;
}

bool is_labels(const StoreInfo& info) {
  return info.kind == StoreKind::labels;
}

std::vector<int32_t> parse_labels(const std::string& line, const std::string& where) {
  std::vector<int32_t> labels;
  const char* at = line.data();
  const char* const end = at + line.size();
  while (at < end) {
    if (*at == ' ') {
      ++at;
      continue;
    }
    int32_t label = 0;
    const auto [next, error] = std::from_chars(at, end, label);
    if (error != std::errc{} || label < 0 || (next < end && *next != ' '))
      fail("{}: is no list of labels", where);
    labels.push_back(label);
    at = next;
  }
  return labels;
}

// What a form that does not say it leaves open: K, and the type that holds labels below it.
void set_clusters(StoreInfo& info, const CopyOptions& options, int64_t largest) {
  info.kind = StoreKind::labels;
  info.dim = 1;
  info.clusters = options.clusters > 0 ? options.clusters : largest + 1;
  if (largest >= info.clusters) fail("{}: holds label {}, K is {}", options.input, largest, info.clusters);
  info.dtype = info.clusters <= 65536 ? "u16" : "i32";
}

// A corpus whose utterances are looked up by their ids.
class CorpusIndex {
 public:
  explicit CorpusIndex(const std::string& path) : path_(path), corpus_(Corpus::read(path)) {
    for (const Utterance& one : corpus_.utterances()) by_id_.emplace(one.id, &one);
  }
  CorpusIndex(const CorpusIndex&) = delete;
  CorpusIndex& operator=(const CorpusIndex&) = delete;

  const Corpus& corpus() const { return corpus_; }
  const Utterance& at(const std::string& id) const {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) fail("{}: has no utterance {}", path_, id);
    return *found->second;
  }

 private:
  std::string path_;
  Corpus corpus_;
  std::unordered_map<std::string, const Utterance*> by_id_;
};

Corpus corpus_for(const CopyOptions& options, std::size_t lines) {
  if (options.corpus.empty()) fail_usage("{}: does not name its utterances; give --corpus", options.input);
  Corpus corpus = Corpus::read(options.corpus);
  if (corpus.size() != lines)
    fail("{}: has {} utterances, {} has {}", options.input, lines, options.corpus, corpus.size());
  return corpus;
}

StoreInfo foreign_info(const CopyOptions& options) {
  StoreInfo info;
  info.origin.layer = options.layer;
  info.origin.hop = options.hop;
  return info;
}

Input open_km(const CopyOptions& options) {
  auto lines = std::make_shared<std::vector<std::vector<int32_t>>>();
  int64_t largest = -1;
  for (const std::string& line : read_lines(options.input)) {
    lines->push_back(parse_labels(line, fmt::format("{}:{}", options.input, lines->size() + 1)));
    for (const int32_t label : lines->back()) largest = std::max<int64_t>(largest, label);
  }
  auto corpus = std::make_shared<Corpus>(corpus_for(options, lines->size()));
  Input input{foreign_info(options), nullptr};
  set_clusters(input.info, options, largest);
  input.info.origin.corpus = corpus->hash();
  input.for_each = [lines, corpus](const auto& take) {
    for (std::size_t i = 0; i < lines->size(); ++i) {
      const Utterance& utterance = corpus->utterances()[i];
      take(Item{utterance.id, utterance.model_samples(), {}, (*lines)[i]});
    }
  };
  return input;
}

// Features go through one utterance at a time; labels are held, since K follows from them all.
Input open_table(const CopyOptions& options) {
  auto table = std::make_shared<FrameTable>(options.input);
  auto corpus = options.corpus.empty() ? nullptr : std::make_shared<CorpusIndex>(options.corpus);
  Input input{foreign_info(options), nullptr};
  if (corpus) input.info.origin.corpus = corpus->corpus().hash();
  const auto item_of = [corpus](TableUtterance utterance) {
    const int64_t samples = corpus ? corpus->at(utterance.id).model_samples() : 0;
    return Item{std::move(utterance.id), samples, std::move(utterance.frames), std::move(utterance.labels)};
  };
  if (table->kind() == StoreKind::features) {
    input.info.dim = table->dim();
    if (input.info.dim == 0) fail("{}: holds no frames", options.input);
    set_value_type(input.info, options.dtype, options.codebook);
    input.for_each = [table, item_of](const auto& take) {
      while (std::optional<TableUtterance> utterance = table->next()) take(item_of(std::move(*utterance)));
    };
    return input;
  }
  auto items = std::make_shared<std::vector<Item>>();
  int64_t largest = -1;
  while (std::optional<TableUtterance> utterance = table->next()) {
    for (const int32_t label : utterance->labels) largest = std::max<int64_t>(largest, label);
    items->push_back(item_of(std::move(*utterance)));
  }
  set_clusters(input.info, options, largest);
  input.for_each = [items](const auto& take) {
    for (const Item& item : *items) take(item);
  };
  return input;
}

Input open_frames(const CopyOptions& options) {
  const bool array = ends_in(options.input, ".npy");
  auto store = std::make_shared<FrameStore>(array ? FrameStore::open_npy(options.input)
                                                  : FrameStore::open(options.input));
  Input input{array ? foreign_info(options) : store->info(), nullptr};
  input.info.dim = store->info().dim;
  std::shared_ptr<Corpus> corpus;
  if (array && !options.corpus.empty()) {
    corpus = std::make_shared<Corpus>(corpus_for(options, store->utterances().size()));
    input.info.origin.corpus = corpus->hash();
  }
  const bool labels = is_labels(input.info);
  if (!labels) set_value_type(input.info, options.dtype, options.codebook);
  input.for_each = [store, corpus, labels](const auto& take) {
    for (std::size_t i = 0; i < store->utterances().size(); ++i) {
      const StoredUtterance& stored = store->utterances()[i];
      Item item{stored.id, stored.samples, {}, {}};
      if (corpus) {
        item.id = corpus->utterances()[i].id;
        item.samples = corpus->utterances()[i].model_samples();
      }
      if (labels)
        item.labels = store->read_labels(stored);
      else
        item.frames = store->read_features(stored);
      take(item);
    }
  };
  return input;
}

void write_store(const Input& input, const CopyOptions& options) {
  if (!options.overwrite && is_frame_store(options.output))
    fail("{}: exists; name another output or give --overwrite", options.output);
  part_is_done(options.output, input.info, {}, options.overwrite);
  FramePartWriter writer(options.output, input.info, {});
  input.for_each([&](const Item& item) {
    if (is_labels(input.info))
      writer.add_labels(item.id, item.samples, item.labels);
    else
      writer.add_features(item.id, item.samples, item.frames);
  });
  writer.commit();
}

void write_table(const Input& input, const CopyOptions& options) {
  KaldiTableWriter writer(parse_wspecifier(options.output), options.overwrite);
  input.for_each([&](const Item& item) {
    if (is_labels(input.info))
      writer.add_labels(item.id, item.labels);
    else
      writer.add_features(item.id, item.frames);
  });
  writer.commit();
}

// fairseq's pair: all frames in one array, and the frames of each utterance, a line each.
void write_npy(const Input& input, const CopyOptions& options) {
  std::filesystem::path lengths_path = options.output;
  lengths_path.replace_extension(".len");
  refuse_existing(options.output, options.overwrite);
  refuse_existing(lengths_path, options.overwrite);
  const bool labels = is_labels(input.info);
  const auto header = [&](int64_t frames) {
    return labels ? npy_header("<i4", {frames}) : npy_header("<f4", {frames, input.info.dim});
  };
  AtomicFile array(options.output), lengths(lengths_path);
  int64_t frames = 0;
  array.write(header(0));
  input.for_each([&](const Item& item) {
    const int64_t count = labels ? static_cast<int64_t>(item.labels.size()) : item.frames.rows();
    if (labels)
      array.write(item.labels.data(), item.labels.size() * sizeof(int32_t));
    else
      array.write(item.frames.data(), item.frames.values().size_bytes());
    lengths.write(fmt::format("{}\n", count));
    frames += count;
  });
  array.write_at(0, header(frames));
  lengths.commit();
  array.commit();
}

// Text: "id v v v" per utterance for labels, "id [" with a line per frame and "]" for features, as Kaldi's
// text archives. A .km has the labels alone.
std::string text_of(const Item& item, bool labels, bool with_id) {
  if (labels)
    return fmt::format("{}{}\n", with_id ? item.id + (item.labels.empty() ? "" : " ") : "",
                       fmt::join(item.labels, " "));
  std::string text = item.id + "  [";
  for (int64_t row = 0; row < item.frames.rows(); ++row)
    text += fmt::format("\n  {}", fmt::join(item.frames.row(row), " "));
  return text + " ]\n";
}

// fairseq's dict.km.txt: the labels, in the order of their numbers, each with a count that says nothing.
void write_dictionary(const Input& input, const CopyOptions& options) {
  if (!is_labels(input.info)) fail("{}: holds features, which have no dictionary", options.input);
  refuse_existing(options.output, options.overwrite);
  AtomicFile file(options.output);
  for (int64_t label = 0; label < input.info.clusters; ++label) file.write(fmt::format("{} 1\n", label));
  file.commit();
}

// The line of a fairseq manifest. It can only name whole files, whose channels are averaged.
std::string manifest_line(const Utterance& utterance, const std::filesystem::path& root) {
  if (is_audio_command(utterance.path))
    fail("utterance {} comes from a command ({}), and a .tsv names files", utterance.id,
         utterance.path.string());
  const AudioInfo file = read_audio_info(utterance.path);
  const std::string path = relative_path(utterance.path, root);
  if (utterance.start != 0 || utterance.samples != file.samples ||
      (utterance.channel >= 0 && file.channels > 1))
    fail("utterance {} is a piece of {}, and a .tsv names whole files; cut it into a file of its own",
         utterance.id, path);
  if (file.rate != model_rate)
    fail("utterance {}: {} has {} Hz, and fairseq takes {} Hz; resample it", utterance.id, path, file.rate,
         model_rate);
  if (path.find_first_of("\t\n") != std::string::npos)
    fail("utterance {}: its path holds a tab or newline, which a .tsv cannot", utterance.id);
  return fmt::format("{}\t{}\n", path, utterance.samples);
}

// fairseq's manifest of the input's utterances, so that its lines match those of a .km of the same input.
void write_manifest(const Input& input, const CopyOptions& options) {
  if (options.corpus.empty()) fail_usage("{}: a manifest names audio files; give --corpus", options.output);
  refuse_existing(options.output, options.overwrite);
  const CorpusIndex corpus(options.corpus);
  const std::filesystem::path root =
      std::filesystem::absolute(options.corpus).lexically_normal().parent_path();
  AtomicFile file(options.output);
  file.write(root.string() + "\n");
  input.for_each([&](const Item& item) { file.write(manifest_line(corpus.at(item.id), root)); });
  file.commit();
}

void write_text(const Input& input, const CopyOptions& options) {
  const bool km = ends_in(options.output, ".km");
  if (km && !is_labels(input.info)) fail("{}: holds features, which have no .km form", options.input);
  std::optional<AtomicFile> file;
  if (options.output != "-") {
    refuse_existing(options.output, options.overwrite);
    file.emplace(options.output);
  }
  input.for_each([&](const Item& item) {
    const std::string text = text_of(item, is_labels(input.info), !km);
    if (file)
      file->write(text);
    else
      std::cout << text;
  });
  if (file) file->commit();
}

bool is_dictionary(const std::string& name) {
  return std::filesystem::path(name).filename().string().starts_with("dict.") && ends_in(name, ".txt");
}

// How the form that `output` names is written.
auto writer_for(const std::string& output) {
  if (is_table(output)) return write_table;
  if (ends_in(output, ".npy")) return write_npy;
  if (ends_in(output, ".tsv")) return write_manifest;
  if (is_dictionary(output)) return write_dictionary;
  if (output == "-" || ends_in(output, ".km") || ends_in(output, ".txt")) return write_text;
  return write_store;
}

Input open_input(const CopyOptions& options) {
  if (is_table(options.input)) return open_table(options);
  return ends_in(options.input, ".km") ? open_km(options) : open_frames(options);
}

}  // namespace

void run_copy(const CopyOptions& options) {
  if (is_table(options.input)) parse_rspecifier(options.input);
  if (is_table(options.output)) parse_wspecifier(options.output);
  const auto write = writer_for(options.output);
  if (!options.codebook.empty() && options.dtype != "pq")
    fail_usage("--codebook {}: goes with --dtype pq", options.codebook);
  if (options.dtype != "f32" && write != write_store)
    fail_usage("--dtype {}: only a frame store has it; {} holds f32", options.dtype, options.output);
  write(open_input(options), options);
  log_info("copy", "{} copied to {}", options.input, options.output);
}

}  // namespace retort
