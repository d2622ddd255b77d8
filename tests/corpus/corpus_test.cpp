#include "corpus/corpus.h"

#include <sndfile.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "base/files.h"
#include "corpus/corpus_lines.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path write_wav(const fs::path& path, int64_t samples, int rate = 16000) {
  fs::create_directories(path.parent_path());
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  const std::vector<float> values(static_cast<std::size_t>(samples), 0.25f);
  REQUIRE(sf_write_float(file, values.data(), samples) == samples);
  sf_close(file);
  return path;
}

fs::path write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

Utterance utterance(const std::string& id, const fs::path& path, int64_t samples) {
  Utterance one;
  one.id = id;
  one.path = path;
  one.samples = samples;
  return one;
}

std::string message_of(const fs::path& corpus) {
  try {
    Corpus::read(corpus);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a corpus is read back as it was written, wherever the folder has gone") {
  const TemporaryFolder folder;
  Utterance first = utterance("a", folder.path() / "here/audio/a.flac", 1600);
  first.start = 320;
  first.rate = 8000;
  first.channel = 1;
  first.extra = {{"speaker", "jane"}, {"labels", {1, 2}}};
  const Utterance second = utterance("b", folder.path() / "here/b.wav", 5000);
  write_corpus(folder.path() / "here/corpus.jsonl", {first, second});
  fs::rename(folder.path() / "here", folder.path() / "there");

  const Corpus corpus = Corpus::read(folder.path() / "there/corpus.jsonl");
  REQUIRE(corpus.size() == 2);
  const Utterance& read = corpus.utterances()[0];
  CHECK(read.id == "a");
  CHECK(read.path == folder.path() / "there/audio/a.flac");
  CHECK(read.start == 320);
  CHECK(read.samples == 1600);
  CHECK(read.rate == 8000);
  CHECK(read.channel == 1);
  CHECK(read.extra == first.extra);
  CHECK(corpus.hash() == Corpus({first, second}).hash());
  CHECK(corpus.seconds() == Approx(0.2 + 5000.0 / 16000));
}

TEST_CASE("a corpus's hash is over what is heard and in which order, not over where it lies") {
  const Utterance a = utterance("a", "x/a.wav", 1000);
  const Utterance b = utterance("b", "x/b.wav", 2000);
  const std::string hash = Corpus({a, b}).hash();
  Utterance changed = a;
  changed.path = "elsewhere/a.flac";
  changed.extra["text"] = "hello";
  CHECK(Corpus({changed, b}).hash() == hash);
  CHECK(Corpus({b, a}).hash() != hash);
  for (const auto change : {+[](Utterance& u) { u.id.assign(1, 'c'); }, +[](Utterance& u) { u.start = 1; },
                            +[](Utterance& u) { u.samples = 999; }, +[](Utterance& u) { u.rate = 8000; },
                            +[](Utterance& u) { u.channel = 0; }}) {
    changed = a;
    change(changed);
    CHECK(Corpus({changed, b}).hash() != hash);
  }
}

TEST_CASE("shards of a corpus are balanced by time, not by samples or utterances") {
  std::vector<Utterance> utterances;
  for (int i = 0; i < 40; ++i)
    utterances.push_back(utterance(std::to_string(i), "a.wav", i < 20 ? 16000 : 48000));
  for (int i = 20; i < 40; ++i) utterances[static_cast<std::size_t>(i)].rate = 48000;
  const Corpus corpus(utterances);
  CHECK(corpus.range({0, 4}) == Range{0, 10});
  CHECK(corpus.range({3, 4}) == Range{30, 40});
}

TEST_CASE("a corpus that is not well-formed is refused with the line's number") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "corpus.jsonl";
  const std::string good = R"({"id":"a","path":"a.wav","samples":400})";
  CHECK(message_of(path).find("no such corpus file") != std::string::npos);
  CHECK(message_of(write_text(path, "")).find("the corpus is empty") != std::string::npos);
  CHECK(message_of(write_text(path, good + "\n" + good + "\n"))
            .find("line 2: id \"a\" was already used in line 1") != std::string::npos);
  for (const char* wrong :
       {"not json", "[]", "", R"({"path":"a.wav","samples":400})", R"({"id":"b","samples":400})",
        R"({"id":"b","path":"b.wav"})", R"({"id":"b","path":"b.wav","samples":-1})",
        R"({"id":"b","path":"b.wav","samples":"many"})",
        R"({"id":"b","path":"b.wav","samples":400,"rate":0})",
        R"({"id":"b","path":"b.wav","samples":400,"start":-2})", R"({"id":"","path":"b.wav","samples":400})",
        R"({"id":"b","path":"b.wav","samples":9223372036854775807})"}) {
    CAPTURE(wrong);
    write_text(path, good + "\n" + wrong + "\n");
    CHECK(message_of(path).find("line 2") != std::string::npos);
  }
  CHECK(message_of(write_text(path, good + "\n")).empty());
}

TEST_CASE("files given by name are called by their stems, or by their paths where stems repeat") {
  const TemporaryFolder folder;
  const std::string one = write_wav(folder.path() / "x/one.wav", 500);
  const std::string two = write_wav(folder.path() / "x/two.wav", 600, 8000);
  const std::string other = write_wav(folder.path() / "y/one.wav", 700);
  const Corpus corpus = Corpus::of_files({one, two, other});
  CHECK(corpus.utterances()[0].id == one);
  CHECK(corpus.utterances()[1].id == "two");
  CHECK(corpus.utterances()[2].id == other);
  CHECK(corpus.utterances()[1].samples == 600);
  CHECK(corpus.utterances()[1].rate == 8000);
  CHECK(load_utterance(corpus.utterances()[1]).size() == 1200);
  CHECK_THROWS_AS(Corpus::of_files({one, one}), Error);
  CHECK_THROWS_AS(Corpus::of_files({one, "no-such-file.wav"}), Error);
  CHECK_THROWS_AS(Corpus::of_files({}), Error);
}

TEST_CASE("a file given by name that is no audio is left for whoever loads it to count") {
  const TemporaryFolder folder;
  const std::string words =
      write_text(folder.path() / "words.wav", "these are words and not a sound in any format");
  const std::string good = write_wav(folder.path() / "good.wav", 500);
  const Corpus corpus = Corpus::of_files({words, good});
  REQUIRE(corpus.size() == 2);
  try {
    load_utterance(corpus.utterances()[0]);
    FAIL("nothing was thrown");
  } catch (const AudioError& error) {
    CHECK(error.reason() == "not-audio");
    CHECK(std::string(error.what()).find("utterance words: ") == 0);
  }
}

TEST_CASE("an utterance whose file is not what the corpus says is refused") {
  const TemporaryFolder folder;
  Utterance one = utterance("a", write_wav(folder.path() / "a.wav", 1000), 1000);
  CHECK(load_utterance(one).size() == 1000);
  one.samples = 1001;
  try {
    load_utterance(one);
    FAIL("nothing was thrown");
  } catch (const AudioError& error) {
    CHECK(error.reason() == "truncated");
  }
  one.samples = 1000;
  one.rate = 8000;
  CHECK_THROWS_AS(load_utterance(one), AudioError);
}

TEST_CASE("an input is one corpus file or audio files") {
  const TemporaryFolder folder;
  const std::string audio = write_wav(folder.path() / "a.wav", 1000);
  const std::string corpus = folder.path() / "corpus.jsonl";
  write_corpus(corpus, {utterance("name", audio, 1000)});
  CHECK(read_corpus_input({corpus}).utterances()[0].id == "name");
  CHECK(read_corpus_input({audio}).utterances()[0].id == "a");
  CHECK_THROWS_AS(read_corpus_input({corpus, audio}), Error);
  CHECK_THROWS_AS(read_corpus_input({}), Error);
}

TEST_CASE("a line that is scanned has the fields that a parser finds, and every other one is left to it") {
  const auto fields = scan_corpus_line(
      R"({"id":"u 1","path":"a/b.wav","start":3,"samples":500,"rate":8000,"channel":1,"text":"na\u00efve: {1}","n":-2,"x":null})");
  CHECK_FALSE(fields);  // an escape
  const auto plain =
      scan_corpus_line(R"( { "id" : "u 1", "path": "a.wav", "samples": 500, "text": "{,]", "n": -2 } )");
  REQUIRE(plain);
  CHECK(plain->id == "u 1");
  CHECK((plain->start == 0 && plain->samples == 500 && plain->rate == 0 && plain->channel == -1));
  for (const char* other : {"",
                            "{}",
                            "[]",
                            R"({"id":"a","path":"p","samples":5)",
                            R"({"id":"a","path":"p","samples":5}})",
                            R"({"id":"a","path":"p","samples":5.0})",
                            R"({"id":"a","path":"p","samples":05})",
                            R"({"id":"a","path":"p","samples":"5"})",
                            R"({"id":"a","path":"p","samples":-5})",
                            R"({"id":"a","path":"p","samples":5,"samples":6})",
                            R"({"id":"a","samples":5})",
                            R"({"id":"","path":"p","samples":5})",
                            R"({"id":"a","path":"p","samples":5,"rate":0})",
                            R"({"id":"a","path":"p","samples":5,"l":[1]})",
                            R"({"id":"a","path":"p","samples":5,"rate":null})",
                            R"({"id":"a","path":"p","samples":5,})",
                            R"({"id":"a" "path":"p","samples":5})",
                            "{\"id\":\"a\tb\",\"path\":\"p\",\"samples\":5}",
                            "{\"id\":\"a\xff\",\"path\":\"p\",\"samples\":5}",
                            R"({"id":"a","path":"p","samples":5,"x":nul})",
                            R"({"id":"a","path":"p","samples":99999999999999999999})"}) {
    CAPTURE(other);
    CHECK_FALSE(scan_corpus_line(other));
  }
}

TEST_CASE("a shard of a corpus file is what the whole corpus has in its range") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 300; ++i) {
    const int samples = 400 + 7919 * i % 5000;
    if (i % 7 == 3)  // lines that are parsed
      text += fmt::format("{{\"id\":\"u\\u00e9{}\",\"path\":\"a.wav\",\"samples\":{},\"labels\":[1,2.5]}}\n",
                          i, samples);
    else
      text += fmt::format(
          "{{\"samples\": {}, \"id\": \"\xc3\xa9{}\", \"path\": \"a.wav\", \"rate\": {}, \"start\": {}}}{}\n",
          samples, i, i % 2 ? 16000 : 44100, i, i % 5 ? "" : "\r");
  }
  const fs::path path = write_text(folder.path() / "c.jsonl", text);
  const Corpus whole = Corpus::read(path);
  for (int count : {1, 4, 299, 400})
    for (int index = 0; index < count; index += 1 + count / 9) {
      const Range range = whole.range({index, count});
      const CorpusShard shard = read_corpus_shard({path.string()}, {index, count});
      CHECK(shard.whole_hash == whole.hash());
      CHECK(shard.whole_size == whole.size());
      REQUIRE(shard.corpus.size() == range.size());
      for (std::size_t i = 0; i < range.size(); ++i) {
        const Utterance &ours = shard.corpus.utterances()[i], &theirs = whole.utterances()[range.begin + i];
        CHECK((ours.id == theirs.id && ours.path == theirs.path && ours.start == theirs.start &&
               ours.samples == theirs.samples && ours.rate == theirs.rate && ours.channel == theirs.channel &&
               ours.extra == theirs.extra));
      }
    }
}

TEST_CASE("what is wrong in any line of a corpus is wrong for every shard, in the same words") {
  const TemporaryFolder folder;
  const std::string good = R"({"id":"a","path":"p","samples":500})",
                    other = R"({"id":"b","path":"p","samples":500})";
  for (const std::string& bad : {good, std::string(R"({"id":"c","samples":5})"), std::string("{"),
                                 std::string(), std::string(R"({"id":"","path":"p","samples":5})"),
                                 std::string(R"({"\u0069d":"a","path":"p","samples":5})")}) {
    const fs::path path = write_text(folder.path() / "c.jsonl", good + "\n" + other + "\n" + bad + "\n");
    const std::string expected = message_of(path);
    CAPTURE(bad, expected);
    CHECK_FALSE(expected.empty());
    for (int index = 0; index < 3; ++index)
      CHECK_THROWS_WITH(read_corpus_shard({path.string()}, {index, 3}), expected);
  }
  write_text(folder.path() / "c.jsonl", "");
  CHECK_THROWS_WITH(read_corpus_shard({(folder.path() / "c.jsonl").string()}, {}),
                    Catch::Contains("is empty"));
  CHECK_THROWS_WITH(read_corpus_shard({"none.jsonl"}, {}), Catch::Contains("no such corpus file"));
}
