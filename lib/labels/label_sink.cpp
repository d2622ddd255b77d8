#include "labels/label_sink.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <vector>

#include "base/files.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

class StoreSink : public LabelSink {
 public:
  StoreSink(const std::string& output, const StoreInfo& info, const Shard& shard)
      : writer_(output, info, shard) {}
  void add(const std::string& id, int64_t samples, std::span<const int32_t> labels) override {
    writer_.add_labels(id, samples, labels);
  }
  void commit(const Json& bad) override { writer_.commit(bad); }

 private:
  FramePartWriter writer_;
};

class TableSink : public LabelSink {
 public:
  TableSink(const Wspecifier& specifier, bool overwrite) : writer_(specifier, overwrite) {}
  void add(const std::string& id, int64_t, std::span<const int32_t> labels) override {
    writer_.add_labels(id, labels);
  }
  void commit(const Json&) override { writer_.commit(); }

 private:
  KaldiTableWriter writer_;
};

class TextSink : public LabelSink {
 public:
  TextSink(const std::string& output, bool overwrite) : with_ids_(!output.ends_with(".km")) {
    if (output == "-") return;
    refuse_existing(output, overwrite);
    file_.emplace(output);
  }
  void add(const std::string& id, int64_t, std::span<const int32_t> labels) override {
    std::string line = with_ids_ ? id : "";
    if (with_ids_ && !labels.empty()) line += ' ';
    line += fmt::format("{}\n", fmt::join(labels, " "));
    if (file_)
      file_->write(line);
    else if (!(std::cout << line << std::flush))
      fail("standard output: writing failed");
  }
  void commit(const Json&) override {
    if (file_) file_->commit();
  }

 private:
  bool with_ids_;
  std::optional<AtomicFile> file_;
};

// The files and streams that a table is written to.
std::vector<Wxfilename> parts_of(const Wspecifier& table) {
  std::vector<Wxfilename> parts;
  if (table.archive) parts.push_back(parse_wxfilename(table.archive_wxfilename));
  if (table.archive && table.script) parts.push_back(parse_wxfilename(table.script_wxfilename));
  return parts;
}

template <class Is>
bool any_part_of(const std::string& table, const Is& is) {
  const std::vector<Wxfilename> parts = parts_of(parse_wspecifier(table));
  return std::any_of(parts.begin(), parts.end(), is);
}

}  // namespace

bool is_text_output(const std::string& output) {
  return output == "-" || output.ends_with(".km") || output.ends_with(".txt");
}

bool is_standard_output(const std::string& output) {
  if (!is_table(output)) return output == "-";
  return any_part_of(output, [](const Wxfilename& part) { return part.kind == StreamKind::standard; });
}

bool are_labels_there(const std::string& output) {
  if (is_table(output))
    return any_part_of(output, [](const Wxfilename& part) {
      return part.kind == StreamKind::file && std::filesystem::is_regular_file(part.name);
    });
  return is_text_output(output) ? std::filesystem::exists(output) : is_frame_store(output);
}

std::unique_ptr<LabelSink> make_text_sink(const std::string& output, bool overwrite) {
  return std::make_unique<TextSink>(output, overwrite);
}

std::unique_ptr<LabelSink> make_table_sink(const Wspecifier& specifier, bool overwrite) {
  return std::make_unique<TableSink>(specifier, overwrite);
}

std::unique_ptr<LabelSink> make_store_sink(const std::string& output, const StoreInfo& info,
                                           const Shard& shard) {
  return std::make_unique<StoreSink>(output, info, shard);
}

}  // namespace retort
