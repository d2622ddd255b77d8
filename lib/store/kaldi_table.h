// Kaldi tables: utterances with a matrix or a list of labels each, in archives and scripts
// (docs/formats.md, "Kaldi tables").
#pragma once

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/matrix.h"
#include "store/frame_store.h"
#include "store/kaldi_specifier.h"
#include "store/kaldi_stream.h"
#include "store/kaldi_value.h"

namespace retort {

// Where a table's entries come from, in order.
class KaldiEntries {
 public:
  virtual ~KaldiEntries() = default;
  virtual std::optional<KaldiEntry> next() = 0;
};

// Reads a table from its first entry to its last. Errors name the table and the key. A key that comes twice
// is an error, and so are keys out of order where `s` promised it. With `p` an archive ends where it cannot
// be read on, and entries of a script that cannot be read are left out; both are logged.
class KaldiTableReader {
 public:
  explicit KaldiTableReader(const Rspecifier& specifier);

  std::optional<KaldiEntry> next();

 private:
  std::optional<KaldiEntry> read();
  void check_key(const std::string& key);

  Rspecifier specifier_;
  std::unique_ptr<KaldiEntries> entries_;
  std::unordered_set<std::string> keys_;  // those that came; with `s` the last one alone
  bool ended_ = false;
  std::future<std::optional<KaldiEntry>> ahead_;  // with `bg`
};

struct TableUtterance {
  std::string id;
  Matrix frames;                // of features
  std::vector<int32_t> labels;  // of labels
};

// A table as stages read it: all features of one dimension and finite, or all labels, none of them negative.
// A vector of floats is one frame.
class FrameTable {
 public:
  // Reads on until kind and dimension are known; a table without utterances is an error.
  explicit FrameTable(const std::string& rspecifier);

  StoreKind kind() const { return kind_; }
  int64_t dim() const { return dim_; }  // of features; 0 where all are empty
  std::optional<TableUtterance> next();

 private:
  std::optional<TableUtterance> read();

  std::string name_;
  KaldiTableReader reader_;
  StoreKind kind_ = StoreKind::features;
  int64_t dim_ = 0;
  bool any_ = false;
  std::deque<TableUtterance> first_;  // read while it was opened
};

// Writes a table. Files appear whole, at commit() (each file of a script alone, when its value was added);
// what goes to standard output or a command goes as it comes.
class KaldiTableWriter {
 public:
  // Refuses files that exist, unless they may be overwritten.
  KaldiTableWriter(const Wspecifier& specifier, bool overwrite);

  // A float matrix. Values that are not finite are refused, as in a frame store, and so are two dimensions.
  void add_features(const std::string& id, const Matrix& frames);
  void add_labels(const std::string& id, std::span<const int32_t> labels);
  // Also logs how much was written.
  void commit();

  int64_t utterances() const { return utterances_; }  // written
  int64_t frames() const { return frames_; }          // or labels

 private:
  void add(const std::string& id, const std::string& bytes, int64_t frames);
  void add_to_archive(const std::string& id, const std::string& bytes);
  // False where the script does not list the key, and need not.
  bool add_to_listed_file(const std::string& id, const std::string& bytes);

  Wspecifier specifier_;
  bool overwrite_ = false;
  std::optional<KaldiOutput> archive_;
  std::optional<KaldiOutput> script_;                   // of ark,scp
  std::unordered_map<std::string, std::string> files_;  // of scp alone: where each key's value goes
  int64_t utterances_ = 0;
  int64_t frames_ = 0;
  int64_t dim_ = 0;  // of features
};

}  // namespace retort
