// Where labels go: a part of a store, a Kaldi table, or lines of text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/json.h"
#include "store/frame_store.h"
#include "store/kaldi_specifier.h"

namespace retort {

class LabelSink {
 public:
  virtual ~LabelSink() = default;
  virtual void add(const std::string& id, int64_t samples, std::span<const int32_t> labels) = 0;
  virtual void commit(const Json& bad) = 0;
};

// True where `output` names text instead of a store: "-" (standard output), .km (labels alone), .txt (id,
// labels).
bool is_text_output(const std::string& output);

// True where `output` is written to standard output: text, or a table like "ark,t:-".
bool is_standard_output(const std::string& output);

// True where `output` holds labels, or whatever else a new one would replace.
bool are_labels_there(const std::string& output);

std::unique_ptr<LabelSink> make_text_sink(const std::string& output, bool overwrite);
std::unique_ptr<LabelSink> make_table_sink(const Wspecifier& specifier, bool overwrite);
std::unique_ptr<LabelSink> make_store_sink(const std::string& output, const StoreInfo& info,
                                           const Shard& shard);

}  // namespace retort
