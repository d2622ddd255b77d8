#include "measures/item_file.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

namespace {

ItemFile read(std::string_view text) {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "test.item");
  file.write(text);
  file.commit();
  return ItemFile::read(folder.path() / "test.item");
}

constexpr const char* header = "#file onset offset #phone prev-phone next-phone speaker\n";

AbxItem between(int64_t onset, int64_t offset) {
  AbxItem item;
  item.onset = onset;
  item.offset = offset;
  return item;
}

}  // namespace

TEST_CASE("items are read by the names of their columns") {
  const ItemFile items = read(std::string(header) + "u1 0.2925 0.4725 IH L NG s1\n\nu2 0 1 L IH NG s2\n");
  REQUIRE(items.items.size() == 2);
  CHECK(items.items[0].utterance == "u1");
  CHECK(items.items[0].onset == 4680);
  CHECK(items.items[0].offset == 7560);
  CHECK(items.phones.names() == std::vector<std::string>{"IH", "L", "NG"});
  CHECK(items.items[1].phone == 1);
  CHECK(items.items[1].previous == 0);
  CHECK(items.items[1].next == 2);
  CHECK(items.items[1].speaker == 1);
  const ItemFile moved =
      read("speaker #phone onset #file offset prev-phone next-phone word\ns A 1 u 2 B C w\n");
  CHECK(moved.items[0].utterance == "u");
  CHECK(moved.items[0].offset == 32000);
}

TEST_CASE("a bad line of an item file is named") {
  CHECK_THROWS_WITH(read(""), Catch::Contains("holds no items"));
  CHECK_THROWS_WITH(read(header), Catch::Contains("holds no items"));
  CHECK_THROWS_WITH(read("u1 0 1 IH L NG s1\n"), Catch::Contains("test.item:1: names no column #file"));
  CHECK_THROWS_WITH(read(std::string(header) + "u1 0 1 IH L NG\n"), Catch::Contains("test.item:2: 6 fields"));
  for (const char* times : {"1 1", "2 1", "-1 1", "x 1", "0 nan"})
    CHECK_THROWS_WITH(read(fmt::format("{}u1 {} IH L NG s1\n", header, times)),
                      Catch::Contains("is no onset and offset"));
}

TEST_CASE("an item has the frames whose middles it holds") {
  // With a hop of 320 the middles are at samples 160, 480, 800, ...
  const auto is = [](const AbxItem& item, int64_t begin, int64_t end) {
    const ItemFrames frames = frames_of(item, 320);
    return frames.begin == begin && frames.end == end;
  };
  CHECK(is(between(0, 320), 0, 1));
  CHECK(is(between(160, 480), 0, 2));  // both ends included
  CHECK(is(between(161, 479), 1, 1));  // none
  CHECK(is(between(4680, 7560), 15, 24));
  CHECK(is(between(0, 100), 0, 0));
}
