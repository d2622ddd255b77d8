#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"
#include "evaluate/frame_features.h"
#include "evaluate/protocol.h"
#include "evaluate/sd.h"
#include "evaluate/splits.h"
#include "evaluate/text_targets.h"

using namespace retort;
using Tokens = std::vector<std::string>;

TEST_CASE("texts become tokens, and tokens texts again") {
  CHECK(text_tokens("Don't stop, 2x!", "characters") ==
        Tokens{"D", "O", "N", "'", "T", " ", "S", "T", "O", "P", " ", "X"});
  CHECK(text_tokens(" AH  T ", "phones") == Tokens{"AH", "T"});
  CHECK(text_tokens("to B-city Rome E-city", "slots") ==
        Tokens{"T", "O", " ", "B-city", " ", "R", "O", "M", "E", " ", "E-city"});
  for (const char* units : {"phones", "words", "characters", "slots"}) {
    const std::string text = text_of_tokens(text_tokens("to B-city Rome E-city", units), units);
    CHECK(text_of_tokens(text_tokens(text, units), units) == text);
  }
  CHECK_THROWS_WITH(text_tokens("a", "syllables"), Catch::Contains("units syllables"));
}

TEST_CASE("tokens that nobody knows are refused with the utterance") {
  const Vocabulary vocabulary({}, {{"b", "a"}, {"a"}});
  CHECK(vocabulary.classes() == 3);
  CHECK(vocabulary.encode({"a", "b"}, "u") == std::vector<int64_t>{1, 2});
  CHECK(vocabulary.decode({2, 1}) == Tokens{"b", "a"});
  CHECK_THROWS_WITH(vocabulary.encode({"a", "c"}, "u7"), Catch::Contains("u7: \"c\" is in its text"));
  CHECK_THROWS_WITH(Vocabulary({"a"}, {{"b"}}).encode({"b"}, "u"), Catch::Contains("data.inventory"));
}

TEST_CASE("a lexicon says the first pronunciation, and which words it lacks") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "dict").string();
  AtomicFile file(path);
  file.write(";;; comment\nhello HH AH L OW\nHELLO HH EH L OW\nHELLO(2) X\nyou're Y UH R\n");
  file.commit();
  const Lexicon lexicon(path);
  Tokens unknown;
  CHECK(lexicon.phones("Hello, you're here.", unknown) == Tokens{"HH", "AH", "L", "OW", "Y", "UH", "R"});
  CHECK(unknown == Tokens{"HERE"});
}

namespace {

Utterance utterance(const std::string& id, const std::string& speaker, const std::string& split) {
  Utterance one;
  one.id = id;
  one.path = id + ".wav";
  one.extra = {{"speaker", speaker}, {"split", split}};
  return one;
}

}  // namespace

TEST_CASE("given splits are taken, and leaks are refused with names") {
  std::vector<Utterance> all = {utterance("a", "x", "train"), utterance("b", "y", "dev"),
                                utterance("c", "z", "test")};
  SplitRule rule{"given", "split", {"speaker"}, "", "", ""};
  CHECK(split_utterances(all, rule) == std::vector<Split>{Split::train, Split::dev, Split::test});
  all.push_back(utterance("d", "x", "test"));
  CHECK_THROWS_WITH(split_utterances(all, rule),
                    Catch::Contains("splits share 1 values of \"speaker\": x (train and test)"));
  rule.disjoint.clear();
  CHECK(split_utterances(all, rule).size() == 4);
  all[3].path = "b.wav";
  CHECK_THROWS_WITH(split_utterances(all, rule),
                    Catch::Contains("stretches of audio: b.wav:0:-1 (dev and test)"));
  all[3] = utterance("d", "x", "eval");
  CHECK_THROWS_WITH(split_utterances(all, rule), Catch::Contains("d: \"split\" is eval"));
  rule.key = "part";
  CHECK_THROWS_WITH(split_utterances(all, rule), Catch::Contains("a: has no \"part\""));
}

TEST_CASE("hashed splits keep a value together, and a protocol can insist on them") {
  std::vector<Utterance> all;
  for (int i = 0; i < 200; ++i)
    all.push_back(utterance(fmt::format("u{}", i), fmt::format("s{}", i % 20), ""));
  const std::vector<Split> splits = split_utterances(all, {"hashed", "speaker", {"speaker"}, "", "", ""});
  for (std::size_t i = 20; i < all.size(); ++i) CHECK(splits[i] == splits[i - 20]);
  const std::vector<std::string> targets(all.size(), "t");
  const Json hashes = split_hashes(all, splits, targets);
  SplitRule rule{"hashed", "id", {}, hashes.at("train"), "", hashes.at("test")};
  CHECK_NOTHROW(require_splits(hashes, rule, "p"));
  rule.dev = std::string(32, '0');
  CHECK_THROWS_WITH(require_splits(hashes, rule, "p"), Catch::Contains("its dev split has hash 000"));
}

TEST_CASE("features are standardised by the marked items, layer by layer") {
  FrameFeatures features;
  features.layers = 2;
  features.dim = 1;
  features.items = {{0, 2, 0, {1, 3, 100, 300}}, {1, 1, 0, {5, 500}}};
  standardise(features, {true, false});
  CHECK(features.items[0].values == std::vector<float>{-1, 1, -1, 1});
  CHECK(features.items[1].values == std::vector<float>{3, 3});
  CHECK_THROWS_WITH(standardise(features, {false, false}), Catch::Contains("no frames"));
}

TEST_CASE("built-in protocols parse to what they say, and wrong ones are refused by key") {
  CHECK(builtin_protocol_texts().size() >= 11);
  for (const EmbeddedJson& file : builtin_protocol_texts()) {
    CAPTURE(file.name);
    const Json json = parse_json(file.text, std::string(file.name));
    const Protocol protocol = parse_protocol(json, "p");
    CHECK(protocol.name == file.name);
    CHECK(protocol.to_json() == json);
    CHECK(protocol.about.find("SUPERB") != std::string::npos);
  }
  CHECK(read_protocol("asterisk-pr", {"optimiser.steps=7", "sweep.lr=[0.5]"}, "ctc").optimiser.steps == 7);
  CHECK_THROWS_WITH(read_protocol("asterisk-pr", {"optimiser.epochs=7"}, "ctc"),
                    Catch::Contains("no value called optimiser.epochs"));
  CHECK_THROWS_WITH(read_protocol("asterisk-pr", {"seeds=0"}, "ctc"), Catch::Contains("seeds should be"));
  CHECK_THROWS_WITH(read_protocol("asterisk-pr", {"sweep.lr=[]"}, "ctc"), Catch::Contains("sweep.lr"));
  CHECK_THROWS_WITH(read_protocol("asterisk-pr", {}, "asv"), Catch::Contains("is of task ctc, not asv"));
  CHECK_THROWS_WITH(read_protocol("none", {}, "ctc"), Catch::Contains("no such protocol"));
}

TEST_CASE("probabilities become turns, with gaps and bursts shorter than half the filter gone") {
  Matrix probabilities(10, 2);
  for (const int64_t frame : {1, 2, 3, 5, 6, 9}) probabilities(frame, 0) = 0.9F;
  probabilities(4, 1) = 0.5F;
  const auto turns_by = [&](int64_t median) {
    std::string text;
    for (const SpeakerTurn& turn : turns_of(probabilities, {0.5, median}, 320))
      text += fmt::format("{}:{}-{} ", turn.speaker, turn.begin, turn.end);
    return text;
  };
  // Frame t stands for samples 320 t + 40 to 320 t + 360.
  CHECK(turns_by(1) == "0:360-1320 0:1640-2280 0:2920-3240 1:1320-1640 ");
  CHECK(turns_by(3) == "0:360-2280 ");
}
