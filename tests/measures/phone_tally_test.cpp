#include "measures/phone_tally.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

namespace {

Alignments two_words() {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "phones.ctm");
  file.write("a 1 0.00 0.05 AH\na 1 0.05 0.05 SIL\na 1 0.15 0.05 T\n");
  file.commit();
  return Alignments::read(folder.path() / "phones.ctm");
}

}  // namespace

TEST_CASE("frames are counted by the phone at their middle, silence and gaps apart") {
  const Alignments alignments = two_words();
  const std::vector<AlignedPhone>& phones = *alignments.find("a");
  for (const bool keep_silence : {false, true}) {
    PhoneTally tally(alignments, 3, keep_silence);
    // Frames of 20 ms, their middles at 12.5 ms, 32.5 ms, ...
    for (int64_t frame = 0; frame < 10; ++frame) tally.add(phones, frame, 320, frame < 1 ? 0 : 2);
    CHECK(tally.silence() == (keep_silence ? 0 : 3));
    CHECK(tally.outside() == 2);
    CHECK(tally.counts()[0] == std::vector<int64_t>{1, 0, 1});
    CHECK(tally.counts()[1] == std::vector<int64_t>{0, 0, keep_silence ? 3 : 0});
    CHECK(tally.counts()[2] == std::vector<int64_t>{0, 0, 3});
    PhoneTally same(alignments, 3, keep_silence);
    same.set_numbers(tally.numbers());
    CHECK(same.counts() == tally.counts());
    CHECK(same.numbers() == tally.numbers());
    CHECK(same.outside() == 2);
  }
}

TEST_CASE("an alignment may outlast its audio by a tenth of a second") {
  const Alignments alignments = two_words();
  const std::vector<AlignedPhone>& phones = *alignments.find("a");  // to 0.2 s
  CHECK_NOTHROW(require_same_audio("phones.ctm", "a", 1600, phones));
  CHECK_THROWS_WITH(require_same_audio("phones.ctm", "a", 1599, phones),
                    Catch::Contains("phones.ctm: utterance a is aligned to 0.20 s"));
}
