#include "units/unit_sink.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <utility>
#include <vector>

#include "base/files.h"
#include "store/kaldi_table.h"
#include "store/npy_pair.h"

namespace retort {
namespace {

constexpr const char* json_to_standard_output = "jsonl:-";

enum class Kind { store, table, array, bare_text, text, jsonl, ctm };

Kind kind_of(const std::string& output) {
  if (is_table(output)) return Kind::table;
  if (output.ends_with(".npy")) return Kind::array;
  if (output.ends_with(".km")) return Kind::bare_text;
  if (output == "-" || output.ends_with(".txt")) return Kind::text;
  if (output == json_to_standard_output || output.ends_with(".jsonl")) return Kind::jsonl;
  return output.ends_with(".ctm") ? Kind::ctm : Kind::store;
}

// The kind that the form makes of the output: with times, text is a CTM.
Kind kind_of(const std::string& output, const UnitForm& form) {
  const Kind kind = kind_of(output);
  return kind == Kind::text && form.times ? Kind::ctm : kind;
}

class StoreSink : public UnitSink {
 public:
  StoreSink(const std::string& output, const StoreInfo& info, const Shard& shard, int64_t keep_free)
      : writer_(output, info, shard, keep_free) {}
  void add(const std::string& id, int64_t samples, const UnitRuns& runs) override {
    writer_.add_labels(id, samples, runs.units);
  }
  void commit(const Json& bad) override { writer_.commit(bad); }

 private:
  FramePartWriter writer_;
};

class TableSink : public UnitSink {
 public:
  TableSink(const std::string& output, bool overwrite) : writer_(parse_wspecifier(output), overwrite) {}
  void add(const std::string& id, int64_t, const UnitRuns& runs) override {
    writer_.add_labels(id, runs.units);
  }
  void commit(const Json&) override { writer_.commit(); }

 private:
  KaldiTableWriter writer_;
};

class ArraySink : public UnitSink {
 public:
  ArraySink(const std::string& output, bool overwrite) : writer_(output, 0, overwrite) {}
  void add(const std::string&, int64_t, const UnitRuns& runs) override { writer_.add(runs.units); }
  void commit(const Json&) override { writer_.commit(); }

 private:
  NpyPairWriter writer_;
};

// The lines of an utterance, with their newlines.
using Lines = std::function<std::string(const std::string& id, const UnitRuns& runs)>;

Lines lines_of(Kind kind, const UnitForm& form, int hop) {
  if (kind == Kind::ctm)
    return [hop](const std::string& id, const UnitRuns& runs) { return units_ctm(id, runs, hop); };
  if (kind == Kind::jsonl)
    return
        [form, hop](const std::string& id, const UnitRuns& runs) { return units_json(id, runs, form, hop); };
  return [form, kind](const std::string& id, const UnitRuns& runs) {
    const std::string units = units_text(runs, form.durations);
    if (kind == Kind::bare_text) return units + "\n";
    return id + (units.empty() ? "" : " ") + units + "\n";
  };
}

class LineSink : public UnitSink {
 public:
  LineSink(const std::string& output, bool overwrite, Lines lines) : lines_(std::move(lines)) {
    if (is_standard_output(output)) return;
    refuse_existing(output, overwrite);
    file_.emplace(output);
  }
  void add(const std::string& id, int64_t, const UnitRuns& runs) override {
    const std::string lines = lines_(id, runs);
    if (file_)
      file_->write(lines);
    else if (!(std::cout << lines << std::flush))
      fail("standard output: writing failed");
  }
  void commit(const Json&) override {
    if (file_) file_->commit();
  }

 private:
  Lines lines_;
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

bool is_unit_store(const std::string& output) {
  return kind_of(output) == Kind::store;
}

bool is_for_units_alone(const std::string& output) {
  const Kind kind = kind_of(output);
  return kind == Kind::bare_text || kind == Kind::jsonl || kind == Kind::ctm;
}

bool is_standard_output(const std::string& output) {
  if (!is_table(output)) return output == "-" || output == json_to_standard_output;
  return any_part_of(output, [](const Wxfilename& part) { return part.kind == StreamKind::standard; });
}

bool are_units_there(const std::string& output) {
  if (is_table(output))
    return any_part_of(output, [](const Wxfilename& part) {
      return part.kind == StreamKind::file && std::filesystem::is_regular_file(part.name);
    });
  return is_unit_store(output) ? is_frame_store(output) : std::filesystem::exists(output);
}

void check_unit_form(const std::string& output, const UnitForm& form) {
  const Kind kind = kind_of(output, form);
  const bool lines = kind == Kind::bare_text || kind == Kind::text || kind == Kind::jsonl;
  if (form.durations && !form.dedup) fail_usage("--durations: goes with --dedup; frames last one frame");
  if (form.durations && kind == Kind::ctm)
    fail_usage("--durations: a CTM states them in seconds; leave it out");
  if (form.durations && !lines)
    fail_usage("--durations: {} holds units alone; write FILE.txt, FILE.km or FILE.jsonl", output);
  if (form.times && kind != Kind::ctm && kind != Kind::jsonl)
    fail_usage("--times: {} holds units alone; write FILE.ctm, FILE.jsonl or -", output);
}

bool writes_times(const std::string& output, const UnitForm& form) {
  return form.times || kind_of(output) == Kind::ctm;
}

void require_times(const std::string& output, const UnitForm& form, int hop) {
  if (hop == 0 && writes_times(output, form))
    fail(
        "{}: the frames do not say how far apart they are, which times need; retort-copy --hop makes a store "
        "of them",
        output);
}

std::unique_ptr<UnitSink> make_unit_sink(const std::string& output, const UnitForm& form,
                                         const StoreInfo& info, const Shard& shard, bool overwrite,
                                         int64_t keep_free) {
  check_unit_form(output, form);
  require_times(output, form, info.origin.hop);
  const Kind kind = kind_of(output, form);
  if (kind == Kind::store) return std::make_unique<StoreSink>(output, info, shard, keep_free);
  if (kind == Kind::table) return std::make_unique<TableSink>(output, overwrite);
  if (kind == Kind::array) return std::make_unique<ArraySink>(output, overwrite);
  return std::make_unique<LineSink>(output, overwrite, lines_of(kind, form, info.origin.hop));
}

}  // namespace retort
