#include "store/kaldi_table.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "store/not_finite.h"

namespace retort {
namespace {

constexpr const char* subsystem = "table";
constexpr int64_t rows_over = 3;  // by which a range may end after the last row, as in Kaldi

class ArchiveEntries : public KaldiEntries {
 public:
  explicit ArchiveEntries(const Rxfilename& source) : input_(source), archive_(input_.bytes()) {}

  std::optional<KaldiEntry> next() override {
    try {
      std::optional<KaldiEntry> entry = archive_.next();
      if (!entry) input_.finish();
      return entry;
    } catch (const Error&) {
      // Where a command failed, that is what the user wants to hear of.
      input_.finish();
      throw;
    }
  }

 private:
  KaldiInput input_;
  KaldiArchive archive_;
};

struct ScriptLine {
  std::string key;
  std::string file;
};

// The lines "key rxfilename" of a script.
class Script {
 public:
  explicit Script(const Rxfilename& source) : input_(source) {}

  std::optional<ScriptLine> next() {
    if (input_.at_end()) {
      input_.finish();
      return std::nullopt;
    }
    ++number_;
    const std::string line = read_line();
    const std::size_t key_end = std::min(line.find_first_of(blanks), line.size());
    const std::size_t file_begin = line.find_first_not_of(blanks, key_end);
    if (key_end == 0 || file_begin == std::string::npos)
      fail("line {} of the script is not KEY FILE but \"{}\"", number_, one_line(line));
    const std::size_t file_end = line.find_last_not_of(blanks) + 1;
    return ScriptLine{line.substr(0, key_end), line.substr(file_begin, file_end - file_begin)};
  }

 private:
  static constexpr const char* blanks = " \t\r";
  static constexpr std::size_t longest_line = 1 << 16;

  std::string read_line() {
    std::string line;
    for (int c = input_.bytes().sbumpc(); c != '\n' && c != std::char_traits<char>::eof();
         c = input_.bytes().sbumpc()) {
      line += static_cast<char>(c);
      if (c == '\0' || line.size() > longest_line)
        fail("line {} of the script is not text; is it an archive (ark:)?", number_);
    }
    return line;
  }

  KaldiInput input_;
  int64_t number_ = 0;
};

// Rows and columns of `matrix` that the range names. `elements`: of a vector, whose one row is ranged over.
Matrix part_of(const Matrix& matrix, KaldiRange range, bool elements) {
  if (elements) {
    range = {0, -1, range.first_row, range.last_row};
  }
  const int64_t columns_over = elements ? rows_over : 0;
  const auto ends = [](int64_t first, int64_t last, int64_t size, int64_t over, const char* what) {
    if (last < 0) last = size - 1;
    if (first >= size || last >= size + over) fail("{} {} to {} were asked of {}", what, first, last, size);
    return std::pair(first, std::min(last, size - 1));
  };
  const auto [top, bottom] = ends(range.first_row, range.last_row, matrix.rows(), rows_over, "rows");
  const auto [left, right] = ends(range.first_column, range.last_column, matrix.columns(), columns_over,
                                  elements ? "values" : "columns");
  Matrix part(bottom - top + 1, right - left + 1);
  for (int64_t row = top; row <= bottom; ++row)
    std::copy_n(matrix.row(row).begin() + left, part.columns(), part.row(row - top).begin());
  return part;
}

class ScriptEntries : public KaldiEntries {
 public:
  ScriptEntries(const Rxfilename& source, bool permissive) : script_(source), permissive_(permissive) {}

  std::optional<KaldiEntry> next() override {
    while (const std::optional<ScriptLine> line = script_.next()) {
      try {
        return KaldiEntry{line->key, load(line->file)};
      } catch (const Error& error) {
        const std::string message = fmt::format("{}: {}: {}", one_line(line->key), line->file, error.what());
        if (!permissive_) fail("{}", message);
        log_warning(subsystem, "leaving out {}", message);
      }
    }
    return std::nullopt;
  }

 private:
  KaldiValue load(const std::string& file) {
    if (!file.ends_with(']')) return load_whole(file);
    const std::size_t bracket = file.rfind('[');
    if (bracket == std::string::npos) fail("a ] ends it, but no [ begins a range");
    const KaldiRange range = parse_kaldi_range(file.substr(bracket + 1, file.size() - bracket - 2));
    KaldiValue value = load_whole(file.substr(0, bracket));
    if (value.kind == KaldiValue::Kind::integers) fail("holds labels, of which Kaldi takes no range");
    value.matrix = part_of(value.matrix, range, value.kind == KaldiValue::Kind::vector);
    return value;
  }

  KaldiValue load_whole(const std::string& file) {
    input_.open(parse_rxfilename(file));
    try {
      KaldiValue value = read_kaldi_value(input_.bytes());
      input_.finish();
      return value;
    } catch (const Error&) {
      input_.finish();
      throw;
    }
  }

  Script script_;
  bool permissive_;
  KaldiInput input_;
};

std::unique_ptr<KaldiEntries> open_entries(const Rspecifier& specifier) {
  try {
    const Rxfilename source = parse_rxfilename(specifier.rxfilename);
    if (specifier.script) return std::make_unique<ScriptEntries>(source, specifier.permissive);
    return std::make_unique<ArchiveEntries>(source);
  } catch (const Error& error) {
    fail("{}: {}", specifier.text, error.what());
  }
}

bool is_key(const std::string& id) {
  return !id.empty() &&
         std::none_of(id.begin(), id.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

}  // namespace

KaldiTableReader::KaldiTableReader(const Rspecifier& specifier)
    : specifier_(specifier), entries_(open_entries(specifier)) {}

std::optional<KaldiEntry> KaldiTableReader::next() {
  if (!specifier_.background) return read();
  const auto read_ahead = [this] { return std::async(std::launch::async, [this] { return read(); }); };
  if (!ahead_.valid()) ahead_ = read_ahead();
  std::optional<KaldiEntry> entry = ahead_.get();
  if (entry) ahead_ = read_ahead();
  return entry;
}

std::optional<KaldiEntry> KaldiTableReader::read() {
  if (ended_) return std::nullopt;
  throw_if_stopped();
  std::optional<KaldiEntry> entry;
  try {
    entry = entries_->next();
  } catch (const Error& error) {
    if (!specifier_.permissive) fail("{}: {}", specifier_.text, error.what());
    log_warning(subsystem, "{}: ends here, since it cannot be read on: {}", specifier_.text, error.what());
  }
  if (entry)
    check_key(entry->key);
  else
    ended_ = true;
  return entry;
}

void KaldiTableReader::check_key(const std::string& key) {
  if (specifier_.sorted && !keys_.empty()) {
    const std::string last = *keys_.begin();
    if (key < last)
      fail("{}: {} comes after {}, but option s promises keys in the order of their bytes (LC_ALL=C sort)",
           specifier_.text, one_line(key), one_line(last));
    if (key != last) keys_.clear();
  }
  if (!keys_.insert(key).second) fail("{}: {} comes twice", specifier_.text, one_line(key));
}

FrameTable::FrameTable(const std::string& rspecifier)
    : name_(rspecifier), reader_(parse_rspecifier(rspecifier)) {
  while (dim_ == 0) {
    std::optional<TableUtterance> utterance = read();
    if (!utterance) break;
    first_.push_back(std::move(*utterance));
    if (kind_ == StoreKind::labels) break;
  }
  if (first_.empty()) fail("{}: holds no utterance", name_);
}

std::optional<TableUtterance> FrameTable::next() {
  if (first_.empty()) return read();
  std::optional<TableUtterance> utterance = std::move(first_.front());
  first_.pop_front();
  return utterance;
}

std::optional<TableUtterance> FrameTable::read() {
  std::optional<KaldiEntry> entry = reader_.next();
  if (!entry) return std::nullopt;
  TableUtterance utterance{std::move(entry->key), std::move(entry->value.matrix),
                           std::move(entry->value.integers)};
  const std::string id = one_line(utterance.id);
  const StoreKind kind =
      entry->value.kind == KaldiValue::Kind::integers ? StoreKind::labels : StoreKind::features;
  if (any_ && kind != kind_)
    fail("{}: {} has {}, those before have {}", name_, id, kind == StoreKind::labels ? "labels" : "features",
         kind == StoreKind::labels ? "features" : "labels");
  kind_ = kind;
  any_ = true;
  for (const int32_t label : utterance.labels)
    if (label < 0) fail("{}: {} has label {}, labels count from 0", name_, id, label);
  if (const int64_t row = first_not_finite_row(utterance.frames); row >= 0)
    fail("{}: {}: frame {} holds a value that is not finite", name_, id, row);
  if (utterance.frames.rows() == 0) return utterance;
  if (dim_ == 0) dim_ = utterance.frames.columns();
  if (utterance.frames.columns() != dim_)
    fail("{}: {} has frames of {} values, those before have {}", name_, id, utterance.frames.columns(), dim_);
  return utterance;
}

KaldiTableWriter::KaldiTableWriter(const Wspecifier& specifier, bool overwrite)
    : specifier_(specifier), overwrite_(overwrite) {
  if (specifier.archive) archive_.emplace(parse_wxfilename(specifier.archive_wxfilename), overwrite);
  if (specifier.archive && specifier.script)
    script_.emplace(parse_wxfilename(specifier.script_wxfilename), overwrite);
  if (specifier.archive) return;
  try {
    Script script(parse_rxfilename(specifier.script_wxfilename));
    while (const std::optional<ScriptLine> line = script.next()) {
      parse_wxfilename(line->file);
      if (!files_.emplace(line->key, line->file).second) fail("{} is listed twice", one_line(line->key));
    }
  } catch (const Error& error) {
    fail("{}: {}", specifier.text, error.what());
  }
}

void KaldiTableWriter::add_features(const std::string& id, const Matrix& frames) {
  if (const int64_t row = first_not_finite_row(frames); row >= 0)
    fail("{}: {}: frame {} holds a value that is not finite", specifier_.text, id, row);
  if (frames.rows() > 0 && dim_ > 0 && frames.columns() != dim_)
    fail("{}: {}: has frames of {} values, those before have {}", specifier_.text, id, frames.columns(),
         dim_);
  if (frames.rows() > 0) dim_ = frames.columns();
  add(id, kaldi_bytes(frames, specifier_.binary), frames.rows());
}

void KaldiTableWriter::add_labels(const std::string& id, std::span<const int32_t> labels) {
  add(id, kaldi_bytes(labels, specifier_.binary), static_cast<int64_t>(labels.size()));
}

void KaldiTableWriter::add(const std::string& id, const std::string& bytes, int64_t frames) {
  if (!is_key(id))
    fail("{}: id \"{}\" is empty or holds white space, which a table's key cannot", specifier_.text, id);
  if (archive_)
    add_to_archive(id, bytes);
  else if (!add_to_listed_file(id, bytes))
    return;
  ++utterances_;
  frames_ += frames;
}

void KaldiTableWriter::add_to_archive(const std::string& id, const std::string& bytes) {
  archive_->write(id + " ");
  if (script_)
    script_->write(fmt::format("{} {}:{}\n", id, specifier_.archive_wxfilename, archive_->bytes_written()));
  archive_->write(bytes);
  if (!specifier_.flush) return;
  archive_->flush();
  if (script_) script_->flush();
}

bool KaldiTableWriter::add_to_listed_file(const std::string& id, const std::string& bytes) {
  const auto found = files_.find(id);
  if (found == files_.end()) {
    if (specifier_.permissive) return false;
    fail("{}: {} is not in the script; list it, or leave such keys out with option p", specifier_.text, id);
  }
  KaldiOutput output(parse_wxfilename(found->second), overwrite_);
  output.write(bytes);
  output.commit();
  return true;
}

void KaldiTableWriter::commit() {
  if (archive_) archive_->commit();
  if (script_) script_->commit();
  const std::string what = dim_ > 0 ? fmt::format("frames of {} values", dim_) : "frames";
  log_info(subsystem, "{} utterances, {} {} written to {}", utterances_, frames_, what, specifier_.text);
}

}  // namespace retort
