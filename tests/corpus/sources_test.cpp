#include "corpus/sources.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/files.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  return path;
}

std::vector<std::string> ids_of(const std::vector<std::string>& inputs) {
  std::vector<Candidate> all;
  for (const std::string& input : inputs)
    for (Candidate& one : find_candidates(input)) all.push_back(std::move(one));
  assign_ids(all);
  std::vector<std::string> ids;
  for (const Candidate& one : all) ids.push_back(one.id);
  return ids;
}

std::string message_of(const std::string& input) {
  try {
    ids_of({input});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool says(const std::string& message, const std::string& text) {
  INFO(message);
  CHECK(message.find(text) != std::string::npos);
  return message.find(text) != std::string::npos;
}

using Ids = std::vector<std::string>;

const AudioInfo ten_seconds{80000, 8000, 2};

Candidate piece(double start, double end, int channel = -1) {
  Candidate candidate;
  candidate.path = "a.wav";
  candidate.is_segment = true;
  candidate.start = start;
  candidate.end = end;
  candidate.channel = channel;
  return candidate;
}

std::string reason_of(const Candidate& candidate) {
  try {
    segment_of(candidate, ten_seconds);
  } catch (const AudioError& error) {
    return error.reason();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "a folder gives its audio files in the order of their paths, with paths for ids where stems repeat") {
  const TemporaryFolder folder;
  for (const char* name : {"b/2.FLAC", "a/1.wav", "b/1.ogg", "a/deep/er/3.mp3", "notes.doc", "README"})
    write_text(folder.path() / name, "-");
  CHECK(ids_of({folder.path()}) == Ids{"a/1", "3", "b/1", "2"});
}

TEST_CASE("a list gives its lines in order, looked up from its own folder") {
  const TemporaryFolder folder;
  write_text(folder.path() / "x/1.wav", "-");
  const fs::path list = write_text(folder.path() / "list.txt", "x/1.wav\r\n\n/elsewhere/2.wav\n");
  const std::vector<Candidate> found = find_candidates(list);
  REQUIRE(found.size() == 2);
  CHECK(found[0].path == folder.path() / "x/1.wav");
  CHECK(found[1].path == "/elsewhere/2.wav");
  CHECK(ids_of({list}) == Ids{"1", "2"});
}

TEST_CASE("a fairseq manifest gives paths below its root and the lengths that files should have") {
  const TemporaryFolder folder;
  const fs::path manifest =
      write_text(folder.path() / "train.tsv", "/root\nspk1/u.flac\t80000\nspk2/u.flac\t79999\n");
  const std::vector<Candidate> found = find_candidates(manifest);
  REQUIRE(found.size() == 2);
  CHECK(found[0].path == "/root/spk1/u.flac");
  CHECK(ids_of({manifest}) == Ids{"spk1/u", "spk2/u"});
  CHECK(segment_of(found[0], ten_seconds).samples == 80000);
  CHECK_THROWS_AS(segment_of(found[1], ten_seconds), AudioError);
  says(message_of(write_text(folder.path() / "a.tsv", "/root\nu.flac 80000\n")),
       "a.tsv line 2: should be PATH<TAB>");
  says(message_of(write_text(folder.path() / "b.tsv", "/root\nu.flac\tmany\n")),
       "b.tsv line 2: should be PATH<TAB>");
  says(message_of(write_text(folder.path() / "c.tsv", "")), "begins with a folder");
}

TEST_CASE("a Kaldi data directory gives its segments with speakers and texts") {
  const TemporaryFolder folder;
  write_text(folder.path() / "wav.scp", "rec1 /data/rec1.wav\nrec2  audio/rec 2.wav \n");
  SECTION("without segments an utterance is a recording") {
    CHECK(ids_of({folder.path()}) == Ids{"rec1", "rec2"});
    CHECK(find_candidates(folder.path())[1].path == folder.path() / "audio/rec 2.wav");
    CHECK(ids_of({folder.path() / "wav.scp"}) == Ids{"rec1", "rec2"});
  }
  SECTION("with segments it is a piece of one") {
    write_text(folder.path() / "segments", "spk-a rec1 0.5 2.25\nspk-b rec1 3 -1\nspk-c rec2 0 1.5 1\n");
    write_text(folder.path() / "utt2spk", "spk-a spk\nspk-b spk\n");
    write_text(folder.path() / "text", "spk-a  good morning \nspk-c\n");
    const std::vector<Candidate> found = find_candidates(folder.path());
    REQUIRE(found.size() == 3);
    CHECK(found[0].id == "spk-a");
    CHECK(found[0].path == "/data/rec1.wav");
    CHECK(found[0].extra == Json({{"speaker", "spk"}, {"text", "good morning"}}));
    CHECK(found[2].extra == Json({{"text", ""}}));
    CHECK(segment_of(found[0], ten_seconds).start == 4000);
    CHECK(segment_of(found[0], ten_seconds).samples == 14000);
    CHECK(segment_of(found[1], ten_seconds).samples == 80000 - 24000);
    CHECK(segment_of(found[2], ten_seconds).channel == 1);
  }
  SECTION("what is wrong in it is named by its line") {
    write_text(folder.path() / "segments", "u rec1 0\n");
    says(message_of(folder.path()), "segments line 1: should be UTTERANCE RECORDING START END");
    write_text(folder.path() / "segments", "u rec1 0 1\nv rec9 0 1\n");
    says(message_of(folder.path()), "segments line 2: recording rec9 is not in wav.scp");
    write_text(folder.path() / "segments", "u rec1 zero 1\n");
    says(message_of(folder.path()), "zero is not a number");
    write_text(folder.path() / "segments", "u rec1 0 inf\n");
    says(message_of(folder.path()), "inf is not a time");
  }
}

TEST_CASE("recordings may be commands; those in archives are refused with advice") {
  const TemporaryFolder folder;
  const fs::path scp = folder.path() / "wav.scp";
  write_text(scp, "rec sph2pipe -f wav a.sph |\nother\tcat b.wav| \n");
  CHECK(find_candidates(scp)[0].path == "sph2pipe -f wav a.sph |");
  CHECK(find_candidates(scp)[1].path == "cat b.wav|");
  CHECK(ids_of({scp}) == Ids{"rec", "other"});
  says(message_of(write_text(scp, "rec /data/wav.ark:1234\n")),
       "wav.scp line 1: recording rec is in an archive");
  says(message_of(write_text(scp, "rec\n")), "recording rec has no path");
}

TEST_CASE("segments follow extract-segments at the edges of a file") {
  CHECK(segment_of(piece(0, 10), ten_seconds).samples == 80000);
  CHECK(segment_of(piece(0.00006, 1), ten_seconds).start == 0);     // 0.48 samples
  CHECK(segment_of(piece(0.00007, 1), ten_seconds).start == 1);     // 0.56 samples
  CHECK(segment_of(piece(9, 10.49), ten_seconds).samples == 8000);  // cut back
  CHECK(reason_of(piece(9, 10.5)) == "bad-segment");
  CHECK(reason_of(piece(10, 10.2)) == "bad-segment");
  CHECK(reason_of(piece(-0.1, 1)) == "bad-segment");
  CHECK(reason_of(piece(2, 1)) == "bad-segment");
  CHECK(reason_of(piece(2, 2.1)) == "too-short");
  CHECK(reason_of(piece(2, 2.11)).empty());
  CHECK(reason_of(piece(0, 1, 2)) == "no-such-channel");
}

TEST_CASE("ids that repeat even as paths are refused, naming both files") {
  const TemporaryFolder folder;
  write_text(folder.path() / "a/1.wav", "-");
  write_text(folder.path() / "a/1.flac", "-");
  const std::string message = message_of(folder.path());
  says(message, "a/1.wav");
  says(message, "a/1.flac");
  write_text(folder.path() / "k/wav.scp", "u 1.wav\nu 2.wav\n");
  says(message_of(folder.path() / "k"), "id u would be that of both");
}

TEST_CASE("inputs that are missing or empty are refused") {
  const TemporaryFolder folder;
  says(message_of("no/such/thing"), "no/such/thing: no such file or folder");
  says(message_of(folder.path()), "no audio files in this folder");
  says(message_of(write_text(folder.path() / "list.txt", "\n")), "names no audio");
  says(message_of(write_text(folder.path() / "corpus.jsonl", "{}")), "is a corpus file already");
}

TEST_CASE("a name that is not UTF-8 is refused before anything is decoded") {
  const TemporaryFolder folder;
  write_text(folder.path() / "caf\xe9.wav", "-");
  says(message_of(folder.path()), "not UTF-8");
}
