#include "copy/copy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "audio/piped_audio.h"
#include "base/files.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "store/frame_sink.h"
#include "store/frame_store.h"
#include "store/kaldi_table.h"
#include "store/product_codebook.h"
#include "units/unit_sink.h"

namespace retort {
namespace {

// One utterance on its way: frames, or labels of frames where the input holds labels.
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

// The lengths that a corpus has for utterances of an input that names them; 0 and no hash without one.
class CorpusLengths {
 public:
  explicit CorpusLengths(const std::string& path) {
    if (!path.empty()) index_.emplace(path);
  }

  int64_t of(const std::string& id) const { return index_ ? index_->at(id).model_samples() : 0; }
  std::string corpus_hash() const { return index_ ? index_->corpus().hash() : ""; }

 private:
  std::optional<CorpusIndex> index_;
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

// Labels are held, since K follows from them all.
Input hold_labels(const CopyOptions& options, std::vector<Item> items) {
  int64_t largest = -1;
  for (const Item& item : items)
    for (const int32_t label : item.labels) largest = std::max<int64_t>(largest, label);
  Input input{foreign_info(options), nullptr};
  set_clusters(input.info, options, largest);
  input.for_each = [held = std::make_shared<std::vector<Item>>(std::move(items))](const auto& take) {
    for (const Item& item : *held) take(item);
  };
  return input;
}

Input open_km(const CopyOptions& options) {
  std::vector<Item> items;
  for (const std::string& line : read_lines(options.input)) {
    const std::string where = fmt::format("{}:{}", options.input, items.size() + 1);
    items.push_back({"", 0, {}, frame_labels(parse_units(line, where))});
  }
  const Corpus corpus = corpus_for(options, items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].id = corpus.utterances()[i].id;
    items[i].samples = corpus.utterances()[i].model_samples();
  }
  Input input = hold_labels(options, std::move(items));
  input.info.origin.corpus = corpus.hash();
  return input;
}

// "id label label ...", as retort-label and this program write it.
IdentifiedUnits parse_text_line(const std::string& line, const std::string& where) {
  const std::size_t end = std::min(line.find(' '), line.size());
  if (line.find('[') != std::string::npos)
    fail("{}: holds no labels; features as text are a table, ark:FILE", where);
  return {line.substr(0, end), parse_units(std::string_view(line).substr(end), where)};
}

// Lines that name their utterances: text, or JSONL.
Input open_lines(const CopyOptions& options) {
  const bool json = ends_in(options.input, ".jsonl");
  const CorpusLengths lengths(options.corpus);
  std::vector<Item> items;
  std::unordered_set<std::string> ids;
  for (const std::string& line : read_lines(options.input)) {
    const std::string where = fmt::format("{}:{}", options.input, items.size() + 1);
    const IdentifiedUnits units = json ? parse_units_json(line, where) : parse_text_line(line, where);
    if (units.id.empty()) fail("{}: names no utterance", where);
    if (!ids.insert(units.id).second) fail("{}: {} comes twice", where, one_line(units.id));
    items.push_back({units.id, lengths.of(units.id), {}, frame_labels(units.runs)});
  }
  if (items.empty()) fail("{}: holds no utterance", options.input);
  Input input = hold_labels(options, std::move(items));
  input.info.origin.corpus = lengths.corpus_hash();
  return input;
}

// Features go through one utterance at a time.
Input open_table(const CopyOptions& options) {
  auto table = std::make_shared<FrameTable>(options.input);
  auto lengths = std::make_shared<CorpusLengths>(options.corpus);
  const auto item_of = [lengths](TableUtterance utterance) {
    const int64_t samples = lengths->of(utterance.id);
    return Item{std::move(utterance.id), samples, std::move(utterance.frames), std::move(utterance.labels)};
  };
  Input input{foreign_info(options), nullptr};
  if (table->kind() == StoreKind::features) {
    input.info.dim = table->dim();
    if (input.info.dim == 0) fail("{}: holds no frames", options.input);
    set_value_type(input.info, options.dtype, options.codebook);
    input.for_each = [table, item_of](const auto& take) {
      while (std::optional<TableUtterance> utterance = table->next()) take(item_of(std::move(*utterance)));
    };
  } else {
    std::vector<Item> items;
    while (std::optional<TableUtterance> utterance = table->next())
      items.push_back(item_of(std::move(*utterance)));
    input = hold_labels(options, std::move(items));
  }
  input.info.origin.corpus = lengths->corpus_hash();
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

// A store that is there is not taken for this one, whatever it holds.
void prepare_store(const Input& input, const CopyOptions& options) {
  if (!options.overwrite && is_frame_store(options.output))
    fail("{}: exists; name another output or give --overwrite", options.output);
  part_is_done(options.output, input.info, {}, options.overwrite);
}

void write_units(Input& input, const CopyOptions& options) {
  const UnitForm& form = options.units;
  if (input.info.dedup && (form.dedup || writes_times(options.output, form)))
    fail("{}: its runs were written once (--dedup), and how long they last is not known; label again",
         options.input);
  input.info.dedup = input.info.dedup || form.dedup;
  if (is_unit_store(options.output)) prepare_store(input, options);
  const auto sink = make_unit_sink(options.output, form, input.info, {}, options.overwrite);
  input.for_each([&](const Item& item) {
    sink->add(item.id, item.samples, form.dedup ? merged_runs(item.labels) : runs_of_one(item.labels));
  });
  sink->commit(Json::object());
}

void write_frames(const Input& input, const CopyOptions& options) {
  if (is_store_output(options.output)) prepare_store(input, options);
  const auto sink = make_frame_sink(options.output, input.info, {}, options.overwrite);
  input.for_each([&](const Item& item) { sink->add(item.id, item.samples, item.frames); });
  sink->commit(Json::object());
}

// "id  [" with a line per frame and "]", as Kaldi's text archives.
std::string text_of(const Item& item) {
  std::string text = item.id + "  [";
  for (int64_t row = 0; row < item.frames.rows(); ++row)
    text += fmt::format("\n  {}", fmt::join(item.frames.row(row), " "));
  return text + " ]\n";
}

void write_text(const Input& input, const CopyOptions& options) {
  std::optional<AtomicFile> file;
  if (options.output != "-") {
    refuse_existing(options.output, options.overwrite);
    file.emplace(options.output);
  }
  input.for_each([&](const Item& item) {
    if (file)
      file->write(text_of(item));
    else
      std::cout << text_of(item);
  });
  if (file) file->commit();
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

bool is_dictionary(const std::string& name) {
  return std::filesystem::path(name).filename().string().starts_with("dict.") && ends_in(name, ".txt");
}

bool is_list(const std::string& output) {
  return is_dictionary(output) || ends_in(output, ".tsv");
}

void write_features(const Input& input, const CopyOptions& options) {
  const std::string& output = options.output;
  const UnitForm& form = options.units;
  if (form.dedup || form.times)
    fail("{}: holds features; --dedup, --durations and --times are of labels", options.input);
  if (is_for_units_alone(output)) fail("{}: holds features; {} is for labels", options.input, output);
  if (!is_table(output) && (output == "-" || ends_in(output, ".txt")))
    write_text(input, options);
  else
    write_frames(input, options);
}

void write(Input input, const CopyOptions& options) {
  if (is_dictionary(options.output))
    write_dictionary(input, options);
  else if (ends_in(options.output, ".tsv"))
    write_manifest(input, options);
  else if (is_labels(input.info))
    write_units(input, options);
  else
    write_features(input, options);
}

Input open_input(const CopyOptions& options) {
  if (is_table(options.input)) return open_table(options);
  if (ends_in(options.input, ".jsonl") || ends_in(options.input, ".txt")) return open_lines(options);
  return ends_in(options.input, ".km") ? open_km(options) : open_frames(options);
}

void check_copy_options(const CopyOptions& options) {
  if (is_table(options.input)) parse_rspecifier(options.input);
  if (is_table(options.output)) parse_wspecifier(options.output);
  if (is_list(options.output) && (options.units.dedup || options.units.times))
    fail_usage("--dedup, --durations, --times: {} holds no units", options.output);
  check_unit_form(options.output, options.units);
  if (!options.codebook.empty() && options.dtype != "pq")
    fail_usage("--codebook {}: goes with --dtype pq", options.codebook);
  if (options.dtype != "f32" && (is_list(options.output) || !is_unit_store(options.output)))
    fail_usage("--dtype {}: only a frame store has it; {} holds f32", options.dtype, options.output);
}

}  // namespace

void run_copy(const CopyOptions& options) {
  check_copy_options(options);
  write(open_input(options), options);
  log_info("copy", "{} copied to {}", options.input, options.output);
}

}  // namespace retort
