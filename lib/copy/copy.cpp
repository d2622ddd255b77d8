#include "copy/copy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "store/frame_store.h"
#include "store/npy.h"

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
  input.info.kind = StoreKind::labels;
  input.info.dim = 1;
  input.info.clusters = options.clusters > 0 ? options.clusters : largest + 1;
  if (largest >= input.info.clusters)
    fail("{}: holds label {}, K is {}", options.input, largest, input.info.clusters);
  input.info.dtype = input.info.clusters <= 65536 ? "u16" : "i32";
  input.info.origin.corpus = corpus->hash();
  input.for_each = [lines, corpus](const auto& take) {
    for (std::size_t i = 0; i < lines->size(); ++i) {
      const Utterance& utterance = corpus->utterances()[i];
      take(Item{utterance.id, utterance.model_samples(), {}, (*lines)[i]});
    }
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
  if (!labels) input.info.dtype = options.dtype;
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

}  // namespace

void run_copy(const CopyOptions& options) {
  const Input input = ends_in(options.input, ".km") ? open_km(options) : open_frames(options);
  if (ends_in(options.output, ".npy"))
    write_npy(input, options);
  else if (options.output == "-" || ends_in(options.output, ".km") || ends_in(options.output, ".txt"))
    write_text(input, options);
  else
    write_store(input, options);
  log_info("copy", "{} copied to {}", options.input, options.output);
}

}  // namespace retort
