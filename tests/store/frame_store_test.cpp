#include "store/frame_store.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "store/check_store.h"
#include "store/codebook.h"

using namespace retort;

namespace {

struct Item {
  std::string id;
  Matrix frames;
};

std::vector<Item> some_items(std::size_t count, int64_t dim) {
  Random random(1);
  std::vector<Item> items;
  for (std::size_t i = 0; i < count; ++i) {
    Matrix frames(static_cast<int64_t>(random.below(9)), dim);  // some are empty
    for (int64_t row = 0; row < frames.rows(); ++row)
      for (float& value : frames.row(row)) value = static_cast<float>(random.uniform() - 0.5);
    items.push_back({fmt::format("u{}", i), std::move(frames)});
  }
  return items;
}

StoreInfo feature_info(int64_t dim, const std::string& dtype = "f32") {
  StoreInfo info;
  info.dtype = dtype;
  info.dim = dim;
  info.origin = {"corpus-hash", "model-hash", "enc3", "none", "exact", 320};
  return info;
}

void write_part(const std::filesystem::path& folder, const StoreInfo& info, const std::vector<Item>& items,
                const Shard& shard) {
  const Range range = shard_range(std::vector<int64_t>(items.size(), 1), shard);
  FramePartWriter writer(folder, info, shard);
  for (std::size_t i = range.begin; i < range.end; ++i)
    writer.add_features(items[i].id, 400, items[i].frames);
  writer.commit();
}

void write_store(const std::filesystem::path& folder, const StoreInfo& info, const std::vector<Item>& items,
                 int parts) {
  for (int part = parts - 1; part >= 0; --part) write_part(folder, info, items, {part, parts});
}

void alter_byte(const std::filesystem::path& path, std::streamoff from_end) {
  std::string bytes = read_file(path);
  bytes[bytes.size() - static_cast<std::size_t>(from_end)] ^= 1;
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace

TEST_CASE("a store gives back what was written, in any number of parts, with one hash") {
  const auto items = some_items(23, 5);
  std::string hash;
  for (const int parts : {1, 2, 7, 40}) {
    const TemporaryFolder folder;
    write_store(folder.path() / "s", feature_info(5), items, parts);
    const FrameStore store = FrameStore::open(folder.path() / "s");
    REQUIRE(store.utterances().size() == items.size());
    std::vector<float> all(static_cast<std::size_t>(store.frames() * 5));
    store.read_rows(0, store.frames(), all.data());
    std::size_t at = 0;
    for (const Item& item : items) {
      const StoredUtterance* stored = store.find(item.id);
      REQUIRE(stored != nullptr);
      const Matrix frames = store.read_features(*stored);
      REQUIRE(frames.rows() == item.frames.rows());
      for (const float value : item.frames.values()) CHECK(all[at++] == value);
      CHECK(std::equal(frames.values().begin(), frames.values().end(), item.frames.values().begin()));
    }
    CHECK((hash.empty() || hash == store.hash()));
    hash = store.hash();
    CHECK(check_frame_store(folder.path() / "s").sound());
  }
}

TEST_CASE("16-bit stores keep values to their precision, and refuse what they cannot hold") {
  const auto items = some_items(4, 3);
  for (const auto& [dtype, precision] : {std::pair<const char*, double>{"f16", 1e-3}, {"bf16", 8e-3}}) {
    const TemporaryFolder folder;
    write_store(folder.path() / "s", feature_info(3, dtype), items, 1);
    const FrameStore store = FrameStore::open(folder.path() / "s");
    for (const Item& item : items) {
      const Matrix frames = store.read_features(*store.find(item.id));
      for (std::size_t i = 0; i < frames.values().size(); ++i)
        CHECK(frames.values()[i] == Approx(item.frames.values()[i]).epsilon(precision).margin(1e-6));
    }
  }
  const TemporaryFolder folder;
  FramePartWriter writer(folder.path() / "s", feature_info(1, "f16"), {});
  Matrix big(1, 1);
  big(0, 0) = 1e6f;
  CHECK_THROWS_WITH(writer.add_features("loud", 400, big), Catch::Contains("loud") && Catch::Contains("f16"));
}

TEST_CASE("an 8-bit store keeps every value to 1/254 of its frame's largest") {
  auto items = some_items(4, 300);
  std::fill_n(items[0].frames.row(0).begin(), 300, 0.0f);
  const TemporaryFolder folder;
  write_store(folder.path() / "s", feature_info(300, "i8"), items, 3);
  const FrameStore store = FrameStore::open(folder.path() / "s");
  for (const Item& item : items) {
    const Matrix frames = store.read_features(*store.find(item.id));
    for (int64_t i = 0; i < frames.rows(); ++i) {
      float largest = 0;
      for (const float value : item.frames.row(i)) largest = std::max(largest, std::abs(value));
      for (int64_t j = 0; j < frames.columns(); ++j)
        CHECK(std::abs(frames(i, j) - item.frames(i, j)) <= 1.001f * largest / 254);
    }
  }
  CHECK(check_frame_store(folder.path() / "s").sound());
}

TEST_CASE("a value that is not finite is refused with utterance and frame") {
  const TemporaryFolder folder;
  FramePartWriter writer(folder.path() / "s", feature_info(2), {});
  Matrix frames(3, 2);
  frames(2, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(writer.add_features("u7", 400, frames),
                    Catch::Contains("u7") && Catch::Contains("frame 2"));
}

TEST_CASE("a part that is not committed leaves nothing") {
  const TemporaryFolder folder;
  {
    FramePartWriter writer(folder.path() / "s", feature_info(2), {});
    writer.add_features("u", 400, Matrix(3, 2));
  }
  CHECK(std::filesystem::is_empty(folder.path() / "s"));
  CHECK_FALSE(is_frame_store(folder.path() / "s"));
}

TEST_CASE("opening names what is missing or does not belong") {
  const auto items = some_items(20, 4);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "s";
  CHECK_THROWS_WITH(FrameStore::open(path), Catch::Contains("no such"));
  write_store(path, feature_info(4), items, 4);

  SECTION("a part") {
    std::filesystem::remove(path / "part-00002-of-00004.json");
    CHECK_THROWS_WITH(FrameStore::open(path),
                      Catch::Contains("part 2 of 4 is missing") && Catch::Contains("--shard 2/4"));
  }
  SECTION("parts of another count") {
    write_part(path, feature_info(4), items, {0, 5});
    CHECK_THROWS_WITH(FrameStore::open(path), Catch::Contains("parts of 4 and parts of 5"));
  }
  SECTION("a part of another layer") {
    StoreInfo other = feature_info(4);
    other.origin.layer = "enc6";
    write_part(path, other, items, {3, 4});
    CHECK_THROWS_WITH(FrameStore::open(path),
                      Catch::Contains("enc3") && Catch::Contains("enc6") && Catch::Contains("part-00003"));
  }
  SECTION("a part that is cut short") {
    std::filesystem::resize_file(path / "part-00001-of-00004.npy", 130);
    CHECK_THROWS_WITH(FrameStore::open(path), Catch::Contains("part-00001") && Catch::Contains("cut short"));
  }
}

TEST_CASE("a check finds every missing, cut, swapped or altered part and names it") {
  const auto items = some_items(40, 4);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "s";
  write_store(path, feature_info(4), items, 4);
  REQUIRE(check_frame_store(path).sound());
  const auto only_problem = [&] {
    const std::vector<std::string> problems = check_frame_store(path).problems;
    REQUIRE(problems.size() == 1);
    return problems.front();
  };
  const std::filesystem::path npy = path / "part-00001-of-00004.npy",
                              jsonl = path / "part-00001-of-00004.jsonl";

  SECTION("missing sidecar") {
    std::filesystem::remove(path / "part-00003-of-00004.json");
    CHECK_THAT(only_problem(), Catch::Contains("part 3 of 4"));
  }
  SECTION("missing rows") {
    std::filesystem::remove(npy);
    CHECK_THAT(only_problem(), Catch::Contains("part-00001") && Catch::Contains("missing"));
  }
  SECTION("cut") {
    std::filesystem::resize_file(npy, std::filesystem::file_size(npy) - 4);
    CHECK_THAT(only_problem(), Catch::Contains("part-00001") && Catch::Contains("cut"));
  }
  SECTION("altered in its last value") {
    alter_byte(npy, 1);
    std::string last;
    const Range range = shard_range(std::vector<int64_t>(items.size(), 1), {1, 4});
    for (std::size_t i = range.begin; i < range.end; ++i)
      if (items[i].frames.rows() > 0) last = items[i].id;
    CHECK_THAT(only_problem(), Catch::Contains("part-00001") && Catch::Contains("altered") &&
                                   Catch::Contains("utterance " + last));
  }
  SECTION("altered list") {
    alter_byte(jsonl, 5);
    CHECK_THAT(check_frame_store(path).problems.front(),
               Catch::Contains("part-00001") && Catch::Contains("jsonl"));
  }
  SECTION("swapped") {
    const std::filesystem::path other = path / "part-00002-of-00004.npy", aside = path / "aside";
    std::filesystem::rename(npy, aside);
    std::filesystem::rename(other, npy);
    std::filesystem::rename(aside, other);
    const auto problems = check_frame_store(path).problems;
    REQUIRE(problems.size() == 2);
    CHECK_THAT(problems[0], Catch::Contains("part-00001"));
    CHECK_THAT(problems[1], Catch::Contains("part-00002"));
  }
}

TEST_CASE("a check says which jobs mend a store, and these do") {
  const auto items = some_items(40, 4);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "s";
  write_store(path, feature_info(4), items, 6);
  const std::string whole = FrameStore::open(path).hash();
  const auto part = [&](int index, const char* ending) {
    return path / (Shard{index, 6}.stem() + "." + ending);
  };
  const auto repair = [&] {
    const StoreCheck check = check_frame_store(path);
    CHECK(check.parts == 6);
    CHECK_FALSE(check.sound());
    return check.repair;
  };

  SECTION("missing parts, each by its number") {
    for (const int index : {0, 3, 4}) std::filesystem::remove(part(index, "json"));
    CHECK(repair() == std::vector<int>{0, 3, 4});
  }
  SECTION("a sidecar that is no JSON") {
    std::filesystem::resize_file(part(2, "json"), 40);
    CHECK(repair() == std::vector<int>{2});
    CHECK_FALSE(part_is_done(path, feature_info(4), {2, 6}, false));
    CHECK(part_is_done(path, feature_info(4), {3, 6}, false));
  }
  SECTION("a part that is shorter than its sidecar says is made again without being asked") {
    std::filesystem::resize_file(part(2, "npy"), 140);
    CHECK(repair() == std::vector<int>{2});
    CHECK_FALSE(part_is_done(path, feature_info(4), {2, 6}, false));
  }
  SECTION("of another run is what most parts are not") {
    StoreInfo other = feature_info(4);
    other.origin.corpus = "another";
    for (const int index : {0, 5}) write_part(path, other, items, {index, 6});
    CHECK(repair() == std::vector<int>{0, 5});
  }
  SECTION("a part of another division is named, and no job of this store mends it") {
    write_part(path, feature_info(4), items, {1, 9});
    CHECK(repair().empty());
    CHECK_THAT(check_frame_store(path).problems.front(),
               Catch::Contains("part-00001-of-00009.json") && Catch::Contains("9 parts instead of 6"));
  }
  SECTION("an utterance that is there twice") {
    std::vector<Item> others = items;  // as another list of the same corpus would have them
    others[others.size() - 1].id = items[0].id;
    write_part(path, feature_info(4), others, {5, 6});
    CHECK(repair() == std::vector<int>{0, 5});
  }
  SECTION("an exchanged list") {
    std::filesystem::copy_file(part(1, "jsonl"), part(4, "jsonl"),
                               std::filesystem::copy_options::overwrite_existing);
    CHECK(repair() == std::vector<int>{4});
    CHECK_THAT(check_frame_store(path).problems.front(), Catch::Contains("is that of part 1"));
  }

  std::vector<int> again = check_frame_store(path).repair;
  if (again.empty()) again = {5};
  for (const int index : again) {
    CHECK_FALSE(part_is_done(path, feature_info(4), {index, 6}, true));
    write_part(path, feature_info(4), items, {index, 6});
  }
  CHECK(check_frame_store(path).sound());
  CHECK(FrameStore::open(path).hash() == whole);
}

TEST_CASE("a rerun does what is missing, and another job is refused") {
  const auto items = some_items(10, 4);
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "s";
  const StoreInfo info = feature_info(4);
  CHECK_FALSE(part_is_done(path, info, {0, 2}, false));
  write_part(path, info, items, {0, 2});
  CHECK(part_is_done(path, info, {0, 2}, false));
  CHECK_FALSE(part_is_done(path, info, {1, 2}, false));
  CHECK_THROWS_WITH(part_is_done(path, info, {0, 3}, false), Catch::Contains("2 parts, now 3"));
  StoreInfo other = info;
  other.dtype = "f16";
  CHECK_THROWS_WITH(part_is_done(path, other, {1, 2}, false),
                    Catch::Contains("f32") && Catch::Contains("f16"));
  CHECK_FALSE(part_is_done(path, other, {0, 3}, true));
  CHECK_FALSE(is_frame_store(path));
}

TEST_CASE("labels come back, and none above K gets in") {
  const TemporaryFolder folder;
  StoreInfo info = feature_info(1, "u16");
  info.kind = StoreKind::labels;
  info.clusters = 60000;
  FramePartWriter writer(folder.path() / "s", info, {});
  const std::vector<int32_t> labels = {0, 59999, 7};
  writer.add_labels("a", 1200, labels);
  CHECK_THROWS_WITH(writer.add_labels("b", 1200, std::vector<int32_t>{60000}), Catch::Contains("60000"));
  writer.commit();
  const FrameStore store = FrameStore::open(folder.path() / "s");
  CHECK(store.read_labels(*store.find("a")) == labels);
}

TEST_CASE("a codebook labels only the features it was made from") {
  const TemporaryFolder folder;
  Codebook codebook;
  codebook.centroids = Matrix(2, 3);
  codebook.centroids(1, 2) = 5;
  codebook.origin = feature_info(3).origin;
  write_codebook(folder.path() / "c", codebook);
  const Codebook read = read_codebook(folder.path() / "c");
  CHECK(read.hash() == codebook.hash());
  CHECK_NOTHROW(require_same_features(read, codebook.origin, 3));
  CHECK_THROWS_WITH(require_same_features(read, codebook.origin, 4),
                    Catch::Contains("dimension 3") && Catch::Contains("4"));
  FrameOrigin other = codebook.origin;
  other.layer = "enc9";
  CHECK_THROWS_WITH(require_same_features(read, other, 3),
                    Catch::Contains("enc3") && Catch::Contains("enc9"));
  other = codebook.origin;
  other.model = "another";
  CHECK_THROWS_WITH(require_same_features(read, other, 3),
                    Catch::Contains("model-hash") && Catch::Contains("another"));
  other.corpus = "elsewhere";  // labelling another corpus is what codebooks are for
  other.model = codebook.origin.model;
  CHECK_NOTHROW(require_same_features(read, other, 3));
  alter_byte(folder.path() / "c" / "centroids.npy", 1);
  CHECK_THROWS_WITH(read_codebook(folder.path() / "c"), Catch::Contains("not the one"));
}
