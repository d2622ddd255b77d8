#include "measures/alignments.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

namespace {

Alignments read_text(std::string_view text) {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "phones.ctm");
  file.write(text);
  file.commit();
  return Alignments::read(folder.path() / "phones.ctm");
}

}  // namespace

TEST_CASE("lines of a CTM file become phones in samples") {
  const Alignments alignments = read_text(
      ";; made by hand\n"
      "b 1 0.00 0.10 AH\n"
      "\n"
      "a 1 0.5 0.025 SIL 0.98\r\n"
      "b\t1  0.10 0.055 T\n");
  CHECK(alignments.phones() == std::vector<std::string>{"AH", "SIL", "T"});
  CHECK(alignments.utterances() == 2);
  CHECK(alignments.find("c") == nullptr);
  const std::vector<AlignedPhone>& b = *alignments.find("b");
  REQUIRE(b.size() == 2);
  CHECK(b[0].begin == 0);
  CHECK(b[0].end == 1600);
  CHECK(b[1].begin == 1600);
  CHECK(b[1].end == 2480);
  CHECK(b[1].phone == 2);
  CHECK(alignments.find("a")->front().begin == 8000);
}

TEST_CASE("a bad line is named by file and number") {
  const auto complains = [](std::string_view text, const std::string& place, const std::string& what) {
    CAPTURE(text);
    CHECK_THROWS_WITH(read_text(text), Catch::Contains("phones.ctm" + place) && Catch::Contains(what));
  };
  complains("a 1 0 0.1 AH\na 1 0.1 AH\n", ":2", "4 fields");
  complains("a 1 0 0.1 AH 1 2\n", ":1", "7 fields");
  complains(";; comment\na 1 zero 0.1 AH\n", ":2", "no start and duration");
  complains("a 1 0 0.1s AH\n", ":1", "no start and duration");
  complains("a 1 -0.1 0.1 AH\n", ":1", "no start and duration");
  complains("a 1 0 nan AH\n", ":1", "no start and duration");
  complains("a 1 0 1e300 AH\n", ":1", "no start and duration");
  complains("a 1 0 0.1 AH\na 2 0.1 0.1 T\n", ":2", "channels 1 and 2");
  complains("a 1 0 0.1 AH\na 1 0.08 0.1 T\n", ":2", "before the phone above it ends");
  complains("a 1 0.5 0 AH\na 1 0.495 0.1 T\n", ":2", "before the phone above it ends");
  complains("\n;; nothing\n", "", "holds no alignments");
}

TEST_CASE("times that were rounded to 10 ms may overlap by that") {
  const Alignments alignments = read_text("a 1 0 0.11 AH\na 1 0.10 0.1 T\n");
  CHECK(phone_at(*alignments.find("a"), 1599) == 0);
  CHECK(phone_at(*alignments.find("a"), 1600) == 1);
}

TEST_CASE("a sample belongs to the phone that covers it, its end not included") {
  const std::vector<AlignedPhone> phones = {
      {100, 200, 5}, {200, 200, 6}, {200, 300, 7}, {400, 400, 8}, {400, 500, 9}};
  CHECK(phone_at(phones, 0) == -1);
  CHECK(phone_at(phones, 99) == -1);
  CHECK(phone_at(phones, 100) == 5);
  CHECK(phone_at(phones, 199) == 5);
  CHECK(phone_at(phones, 200) == 7);
  CHECK(phone_at(phones, 299) == 7);
  CHECK(phone_at(phones, 300) == -1);
  CHECK(phone_at(phones, 450) == 9);
  CHECK(phone_at(phones, 500) == -1);
  // A phone without duration inside another does not hide it.
  CHECK(phone_at({{0, 100, 1}, {95, 95, 2}}, 97) == 1);
}

TEST_CASE("silence has many names, and phones are none of them") {
  for (const char* name : {"SIL", "SPN", "sil", "sp", "spn", "<sil>", "<s>", "</s>", "+NOISE+", "+SPN+"}) {
    CAPTURE(name);
    CHECK(is_silence(name));
  }
  for (const char* name : {"S", "s", "AH0", "+", "++", "SILK", ""}) {
    CAPTURE(name);
    CHECK_FALSE(is_silence(name));
  }
}
