#include "store/kaldi_table.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "store/npy.h"

using namespace retort;

namespace {

namespace fs = std::filesystem;

const fs::path fixtures = fs::path(RETORT_FIXTURES) / "kaldi";

// Tables in a folder of their own. FILE and FIXTURE in a specifier stand for the folders.
class Tables {
 public:
  std::string named(std::string text) const {
    for (const auto& [word, folder_path] :
         {std::pair(std::string("FILE"), folder.path()), {"FIXTURE", fixtures}})
      for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word))
        text.replace(at, word.size(), folder_path.string());
    return text;
  }
  void write(const std::string& name, const std::string& bytes) const {
    AtomicFile file(folder.path() / name);
    file.write(named(bytes));
    file.commit();
  }
  std::string read_bytes(const std::string& name) const { return read_file(folder.path() / name); }
  std::vector<KaldiEntry> read(const std::string& rspecifier) const {
    KaldiTableReader reader(parse_rspecifier(named(rspecifier)));
    std::vector<KaldiEntry> entries;
    while (std::optional<KaldiEntry> entry = reader.next()) entries.push_back(std::move(*entry));
    return entries;
  }
  // What is wrong with it, without the folder's name.
  std::string problem(const std::string& rspecifier) const {
    try {
      read(rspecifier);
    } catch (const Error& error) {
      CHECK(error.fault() == Fault::work);
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
};

std::string keys_of(const std::vector<KaldiEntry>& entries) {
  std::string keys;
  for (const KaldiEntry& entry : entries) keys += entry.key;
  return keys;
}

bool same(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.columns() == b.columns() &&
         std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

// Collects what is logged.
class LogLines {
 public:
  LogLines() {
    set_log_sink(
        [this](LogLevel, std::string_view, std::string_view line) { text += std::string(line) + "\n"; });
  }
  ~LogLines() { set_log_sink(nullptr); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  std::string text;
};

}  // namespace

TEST_CASE("archives are read from files, places in files and commands") {
  const Tables tables;
  for (const char* spec : {"ark:FIXTURE/float.ark", "ark,bg:FIXTURE/float.ark",
                           "ark,s,o,cs:FIXTURE/float.ark", "ark:cat FIXTURE/float.ark |"}) {
    CAPTURE(spec);
    const std::vector<KaldiEntry> entries = tables.read(spec);
    CHECK(keys_of(entries) == "ab");
    CHECK(same(entries.at(1).value.matrix, read_npy_matrix(fixtures / "float.b.npy")));
  }
  CHECK(keys_of(tables.read("ark:FIXTURE/float.ark:237")) == "b");
}

TEST_CASE("scripts name places, ranges and commands") {
  const Tables tables;
  const Matrix a = read_npy_matrix(fixtures / "float.a.npy");
  tables.write("s.scp",
               "whole FIXTURE/float.ark:2\r\n"
               "rows\tFIXTURE/float.ark:2[1:3]\n"
               "part FIXTURE/float.ark:2[:,1:2]\n"
               "over FIXTURE/float.ark:2[8:13,0:4]\n"
               "piped tail -c +3 FIXTURE/float.ark |\n"
               "piped_part tail -c +3 FIXTURE/float.ark |[0:0]\n"
               "vector FIXTURE/vector.ark:2[1:3]\n"
               "labels FIXTURE/labels.ark:2");
  for (const char* spec : {"scp:FILE/s.scp", "scp,bg:FILE/s.scp", "scp:cat FILE/s.scp |"}) {
    CAPTURE(spec);
    const std::vector<KaldiEntry> entries = tables.read(spec);
    REQUIRE(entries.size() == 8);
    CHECK(same(entries[0].value.matrix, a));
    CHECK(entries[1].value.matrix.rows() == 3);
    CHECK(entries[1].value.matrix(2, 4) == a(3, 4));
    CHECK(entries[2].value.matrix.columns() == 2);
    CHECK(entries[2].value.matrix(10, 1) == a(10, 2));
    CHECK(entries[3].value.matrix.rows() == 3);
    CHECK(entries[3].value.matrix(2, 0) == a(10, 0));
    CHECK(same(entries[4].value.matrix, a));
    CHECK(entries[5].value.matrix.rows() == 1);
    CHECK(entries[6].value.matrix.columns() == 3);
    CHECK(entries[6].value.matrix(0, 0) == a(0, 1));
    CHECK(entries[7].value.integers.size() == 4);
  }
}

TEST_CASE("what is wrong with a table is said with its name and key") {
  const Tables tables;
  tables.write("cut.ark", read_file(fixtures / "float.ark").substr(0, 300));
  CHECK(tables.problem("ark:FILE/cut.ark") ==
        tables.named("ark:FILE/cut.ark: b: is cut short (46 of 60 bytes of values are there)"));
  CHECK_THAT(tables.problem("ark:FILE/none.ark"),
             Catch::Contains("none.ark: cannot be opened (No such file"));
  CHECK_THAT(tables.problem("ark:FILE"), Catch::Contains("is a folder"));
  CHECK_THAT(tables.problem("ark:FIXTURE/float.ark:99999"), Catch::Contains("has 314 bytes, byte 99999"));
  CHECK_THAT(tables.problem("scp:FIXTURE/float.ark"), Catch::Contains("is it an archive (ark:)?"));
  CHECK_THAT(tables.problem("ark:cat FIXTURE/float.ark; exit 3 |"),
             Catch::Contains("the command `cat ") && Catch::Contains("failed (exit code 3)"));
  CHECK_THAT(tables.problem("ark:head -c 300 FIXTURE/float.ark; exit 3 |"), Catch::Contains("(exit code 3)"));
  CHECK_THAT(tables.problem("ark:no-such-command 2> /dev/null |"), Catch::Contains("(exit code 127)"));
  CHECK_THAT(tables.problem("ark:kill -9 $$ |"), Catch::Contains("(signal 9)"));
  CHECK_THAT(tables.problem("ark:yes 'a [ x' |"), Catch::Contains("is no number"));

  const std::vector<std::pair<std::string, std::string>> scripts = {
      {"u FILE/none.ark:5\n",
       "u: FILE/none.ark:5: FILE/none.ark: cannot be opened (No such file or directory)"},
      {"u FIXTURE/float.ark:3\n", "holds BFM where"},
      {"u FIXTURE/float.ark:999\n", "has 314 bytes"},
      {"u FIXTURE/float.ark:2[9:14]\n", "rows 9 to 14 were asked of 11"},
      {"u FIXTURE/float.ark:2[11:12]\n", "rows 11 to 12 were asked of 11"},
      {"u FIXTURE/float.ark:2[0:1,2:5]\n", "columns 2 to 5 were asked of 5"},
      {"u FIXTURE/float.ark:2[1:0]\n", "is no range"},
      {"u FIXTURE/float.ark:2]\n", "no [ begins a range"},
      {"u FIXTURE/labels.ark:2[0:1]\n", "holds labels, of which"},
      {"u exit 4 |\n", "u: exit 4 |: the command `exit 4 ` failed (exit code 4)"},
      {"u | cat\n", "ends in |"},
      {"u\n", "line 1 of the script is not KEY"},
      {"u FIXTURE/float.ark:2\n\nv FIXTURE/float.ark:2\n", "line 2 of the script"}};
  for (const auto& [script, message] : scripts) {
    CAPTURE(script);
    tables.write("s.scp", script);
    const std::string problem = tables.problem("scp:FILE/s.scp");
    CHECK_THAT(problem, Catch::Contains(tables.named(message)));
    CHECK_THAT(problem, Catch::StartsWith(tables.named("scp:FILE/s.scp: ")));
  }
}

TEST_CASE("keys come once, and in order where that is promised") {
  const Tables tables;
  tables.write("twice.ark", "a 1\nb 2\na 3\n");
  tables.write("order.ark", "b 1\nB 2\n");
  tables.write("same.ark", "a 1\na 2\n");
  CHECK_THAT(tables.problem("ark:FILE/twice.ark"), Catch::EndsWith("twice.ark: a comes twice"));
  CHECK_THAT(tables.problem("ark,s:FILE/same.ark"), Catch::EndsWith("same.ark: a comes twice"));
  CHECK_THAT(tables.problem("ark,s:FILE/order.ark"),
             Catch::Contains("B comes after b, but option s promises"));
  CHECK(keys_of(tables.read("ark:FILE/order.ark")) == "bB");
}

TEST_CASE("with option p what cannot be read is as if it were not there, and said") {
  const Tables tables;
  LogLines log;
  tables.write("cut.ark", read_file(fixtures / "float.ark").substr(0, 300));
  CHECK(keys_of(tables.read("ark,p:FILE/cut.ark")) == "a");
  CHECK_THAT(log.text, Catch::Contains("ends here, since it cannot be read on: b: is cut short"));
  tables.write("s.scp", "u FILE/none.ark:5\nv FIXTURE/float.ark:2\nw exit 4 |\nx FIXTURE/float.ark:2[1:0]\n");
  CHECK(keys_of(tables.read("p,scp:FILE/s.scp")) == "v");
  CHECK_THAT(log.text, Catch::Contains("leaving out u: ") &&
                           Catch::Contains("leaving out w: exit 4 |: the command") &&
                           Catch::Contains("leaving out x: "));
  CHECK(keys_of(tables.read("ark,p:cat FIXTURE/float.ark; exit 3 |")) == "ab");
  CHECK_FALSE(tables.problem("ark,p:FILE/none.ark").empty());
}

TEST_CASE("stages see features of one dimension, or labels") {
  const Tables tables;
  const auto problem = [&](const std::string& bytes) {
    tables.write("t.ark", bytes);
    try {
      FrameTable table(tables.named("ark:FILE/t.ark"));
      while (table.next()) {
      }
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(problem(""), Catch::EndsWith("t.ark: holds no utterance"));
  CHECK_THAT(problem("a [ 1 2 ]\nb [ 1 2 3 ]\n"),
             Catch::EndsWith("b has frames of 3 values, those before have 2"));
  CHECK_THAT(problem("a [ 1 2 ]\nb 1 2\n"), Catch::EndsWith("b has labels, those before have features"));
  CHECK_THAT(problem("a 1\nb [ 1 ]\n"), Catch::EndsWith("b has features, those before have labels"));
  CHECK_THAT(problem("a 1 -2\n"), Catch::EndsWith("a has label -2, labels count from 0"));
  CHECK(problem("a [ ]\nb [\n 1 2\n 3 4 ]\nc [ ]\nd [ 1 2 ]\n").empty());

  FrameTable features(tables.named("ark:FILE/t.ark"));
  CHECK(features.kind() == StoreKind::features);
  CHECK(features.dim() == 2);
  CHECK(features.next()->id == "a");
  CHECK(features.next()->frames.rows() == 2);
  CHECK(features.next()->frames.rows() == 0);
  CHECK(features.next()->frames.rows() == 1);
  CHECK_FALSE(features.next());
  FrameTable labels(tables.named("ark:FIXTURE/labels.txt"));
  CHECK(labels.kind() == StoreKind::labels);
  CHECK(labels.next()->labels.back() == 70000);
}

TEST_CASE("tables that are written are read again, and are Kaldi's bytes") {
  const Tables tables;
  const Matrix a = read_npy_matrix(fixtures / "float.a.npy"), b = read_npy_matrix(fixtures / "float.b.npy");
  const auto write = [&](const std::string& wspecifier) {
    KaldiTableWriter writer(parse_wspecifier(tables.named(wspecifier)), false);
    writer.add_features("a", a);
    writer.add_features("b", b);
    CHECK(writer.utterances() == 2);
    CHECK(writer.frames() == 14);
    writer.commit();
  };
  write("ark:FILE/x.ark");
  CHECK(tables.read_bytes("x.ark") == read_file(fixtures / "float.ark"));
  write("ark,f:| cat > FILE/piped.ark");
  CHECK(tables.read_bytes("piped.ark") == read_file(fixtures / "float.ark"));
  write("ark,scp:FILE/y.ark,FILE/y.scp");
  CHECK(tables.read_bytes("y.ark") == read_file(fixtures / "float.ark"));
  CHECK(tables.read_bytes("y.scp") == tables.named("a FILE/y.ark:2\nb FILE/y.ark:239\n"));
  write("ark,scp,t:FILE/t.ark,FILE/t.scp");
  for (const char* spec : {"ark:FILE/x.ark", "scp:FILE/y.scp", "ark:FILE/t.ark", "scp:FILE/t.scp"}) {
    CAPTURE(spec);
    const std::vector<KaldiEntry> entries = tables.read(spec);
    REQUIRE(keys_of(entries) == "ab");
    CHECK(same(entries[0].value.matrix, a));
    CHECK(same(entries[1].value.matrix, b));
  }
}

TEST_CASE("a script that is written to lists the files of its keys") {
  const Tables tables;
  tables.write("to.scp", "a FILE/deep/a.mat\nb | cat > FILE/b.mat\n");
  const Matrix one(1, 1, {0.5F});
  KaldiTableWriter writer(parse_wspecifier(tables.named("scp,t:FILE/to.scp")), false);
  writer.add_features("b", one);
  writer.add_features("a", one);
  CHECK_THROWS_WITH(writer.add_features("c", one), Catch::Contains("c is not in the script"));
  writer.commit();
  CHECK(tables.read_bytes("deep/a.mat") == " [\n  0.5 ]\n");
  CHECK(tables.read_bytes("b.mat") == " [\n  0.5 ]\n");
  KaldiTableWriter permissive(parse_wspecifier(tables.named("scp,p:FILE/to.scp")), true);
  permissive.add_features("c", one);
  permissive.add_features("a", one);
  CHECK(permissive.utterances() == 1);
  tables.write("twice.scp", "a x\na y\n");
  CHECK_THROWS_WITH(KaldiTableWriter(parse_wspecifier(tables.named("scp:FILE/twice.scp")), false),
                    Catch::Contains("a is listed twice"));
}

TEST_CASE("files of a table are there whole or not at all") {
  const Tables tables;
  const Wspecifier specifier = parse_wspecifier(tables.named("ark,scp:FILE/x.ark,FILE/x.scp"));
  {
    KaldiTableWriter writer(specifier, false);
    writer.add_features("a", Matrix(2, 3));
  }
  CHECK(fs::is_empty(tables.folder.path()));
  tables.write("x.scp", "");
  CHECK_THROWS_WITH(KaldiTableWriter(specifier, false), Catch::Contains("x.scp: exists"));
  CHECK_FALSE(fs::exists(tables.folder.path() / "x.ark.tmp"));
  KaldiTableWriter over(specifier, true);
  over.add_labels("a", std::vector<int32_t>{1});
  over.commit();
  CHECK(tables.read("scp:FILE/x.scp").at(0).value.integers.at(0) == 1);
}

TEST_CASE("what cannot be in a table is refused") {
  const Tables tables;
  KaldiTableWriter writer(parse_wspecifier(tables.named("ark:FILE/x.ark")), false);
  CHECK_THROWS_WITH(writer.add_features("a b", Matrix(1, 1)), Catch::Contains("id \"a b\""));
  CHECK_THROWS_WITH(writer.add_labels("", std::vector<int32_t>{1}), Catch::Contains("is empty"));
  CHECK_THROWS_WITH(writer.add_features("a", Matrix(2, 1, {0, NAN})), Catch::Contains("a: frame 1 holds"));
  KaldiTableWriter failing(parse_wspecifier("ark:| cat > /dev/null; exit 5"), false);
  failing.add_labels("a", std::vector<int32_t>{1});
  CHECK_THROWS_WITH(failing.commit(), Catch::Contains("failed (exit code 5)"));
  KaldiTableWriter full(parse_wspecifier("ark:/dev/full"), false);
  full.add_labels("a", std::vector<int32_t>{1});
  CHECK_THROWS_WITH(full.commit(), Catch::Contains("writing failed (No space left"));
}
