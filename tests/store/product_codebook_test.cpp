#include "store/product_codebook.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "kernels/exact_distance.h"
#include "store/check_store.h"

using namespace retort;

namespace {

Matrix random_rows(int64_t rows, int64_t columns, uint64_t seed, double scale = 1, double offset = 0) {
  Random random(seed);
  Matrix matrix(rows, columns);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      matrix(i, j) = static_cast<float>(offset + scale * (random.uniform() - 0.5));
  return matrix;
}

// Some centroids are copies, so that there are ties.
ProductCodebook made_codebook(int64_t subspaces, int64_t clusters, int64_t width, double scale = 1,
                              double offset = 0) {
  Matrix centroids = random_rows(subspaces * clusters, width, 1, scale, offset);
  for (int64_t row = 5; row < centroids.rows(); row += 5)
    std::memcpy(centroids.row(row).data(), centroids.row(row - 1).data(), centroids.row(row).size_bytes());
  return {std::move(centroids), subspaces};
}

StoreInfo info_of(const ProductCodebook& codebook) {
  StoreInfo info;
  info.dtype = "pq";
  info.dim = codebook.dim();
  info.product = std::make_shared<const ProductCodebook>(codebook);
  info.codebook = codebook.hash();
  info.clusters = codebook.clusters();
  info.subspaces = codebook.subspaces();
  return info;
}

void write_part(const std::filesystem::path& folder, const StoreInfo& info, const Shard& shard,
                const std::string& id, const Matrix& frames) {
  FramePartWriter writer(folder, info, shard);
  writer.add_features(id, 320 * frames.rows(), frames);
  writer.commit();
}

}  // namespace

TEST_CASE("codes are the nearest centroids of each piece, the first where they are as near", "[store]") {
  // Offsets make f32 scores coarse; the tiny and the huge are beyond them.
  struct Size {
    double scale, offset;
  };
  for (const auto& [scale, offset] : {Size{1, 0}, Size{1, 1000}, Size{1e-25, 0}, Size{1e25, 0}})
    for (const int64_t clusters : {1, 37, 256}) {
      const ProductCodebook codebook = made_codebook(3, clusters, 4, scale, offset);
      const Matrix frames = random_rows(200, 12, 2, scale, offset);
      std::byte codes[3];
      float decoded[12];
      for (int64_t i = 0; i < frames.rows(); ++i) {
        codebook.encode(frames.row(i).data(), codes);
        REQUIRE(codebook.decode(codes, decoded));
        for (int64_t m = 0; m < 3; ++m) {
          Matrix own(clusters, 4);
          std::memcpy(own.data(), codebook.centroids().row(m * clusters).data(), own.values().size_bytes());
          const int32_t nearest = nearest_exactly(frames.row(i).data() + 4 * m, own).label;
          REQUIRE(static_cast<int32_t>(codes[m]) == nearest);
          REQUIRE(std::memcmp(decoded + 4 * m, own.row(nearest).data(), own.row(nearest).size_bytes()) == 0);
        }
      }
    }
}

TEST_CASE("what is no product codebook is refused", "[store]") {
  CHECK_THROWS_WITH(ProductCodebook(Matrix(10, 2), 3), Catch::Contains("10 x 2 values"));
  CHECK_THROWS_WITH(ProductCodebook(Matrix(257, 2), 1), Catch::Contains("up to 256"));
  CHECK_THROWS_WITH(ProductCodebook(Matrix(0, 2), 1), Catch::Contains("no product codebook"));
  Matrix spoilt(4, 2);
  spoilt(3, 1) = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(ProductCodebook(spoilt, 2), Catch::Contains("not finite"));
  std::byte code{200};
  float value[2];
  CHECK_FALSE(ProductCodebook(Matrix(200, 2), 1).decode(&code, value));
}

TEST_CASE("a store of codes carries its codebook", "[store]") {
  const TemporaryFolder folder;
  const ProductCodebook codebook = made_codebook(2, 50, 3);
  const StoreInfo info = info_of(codebook);
  const Matrix first = random_rows(7, 6, 3), second = random_rows(5, 6, 4);
  write_part(folder.path() / "feats", info, {0, 2}, "a", first);
  write_part(folder.path() / "feats", info, {1, 2}, "b", second);
  CHECK(part_is_done(folder.path() / "feats", info, {0, 2}, false));
  CHECK(check_frame_store(folder.path() / "feats").sound());
  {
    const FrameStore store = FrameStore::open(folder.path() / "feats");
    CHECK(store.bytes_per_row() == 2);
    CHECK(store.rows_in_place(0, 1) == nullptr);
    const Matrix read = store.read_features(store.utterances()[1]);
    std::byte codes[2];
    float expected[6];
    for (int64_t i = 0; i < 5; ++i) {
      codebook.encode(second.row(i).data(), codes);
      REQUIRE(codebook.decode(codes, expected));
      CHECK(std::equal(expected, expected + 6, read.row(i).data()));
    }
  }
  StoreInfo other = info_of(made_codebook(2, 51, 3));
  CHECK_THROWS_WITH(part_is_done(folder.path() / "feats", other, {0, 2}, false),
                    Catch::Contains("was made otherwise"));

  const std::filesystem::path kept = folder.path() / "feats" / "part-00000-of-00002.codebook.npy";
  std::filesystem::rename(kept, folder.path() / "moved");
  CHECK_THROWS_WITH(FrameStore::open(folder.path() / "feats"), Catch::Contains("codebook.npy: is missing"));
  CHECK_FALSE(part_is_done(folder.path() / "feats", info, {0, 2}, false));
  write_part(folder.path() / "others", other, {0, 2}, "a", first);
  std::filesystem::copy(folder.path() / "others" / kept.filename(), kept);
  CHECK_THROWS_WITH(FrameStore::open(folder.path() / "feats"), Catch::Contains("is not the codebook"));
  CHECK(check_frame_store(folder.path() / "feats").problems.size() == 1);
}

TEST_CASE("a code that no centroid has is an error, not a read beyond them", "[store]") {
  const TemporaryFolder folder;
  const ProductCodebook codebook = made_codebook(2, 50, 3);
  write_part(folder.path() / "feats", info_of(codebook), {0, 1}, "a", random_rows(4, 6, 3));
  {
    std::fstream file(folder.path() / "feats" / "part-00000-of-00001.npy",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(50));
  }
  const FrameStore store = FrameStore::open(folder.path() / "feats");
  Matrix rows(4, 6);
  CHECK_NOTHROW(store.read_rows(0, 3, rows.data()));
  CHECK_THROWS_WITH(store.read_rows(0, 4, rows.data()), Catch::Contains("not below 50"));
}
