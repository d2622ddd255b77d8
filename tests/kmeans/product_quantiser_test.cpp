#include "kmeans/product_quantiser.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "made_frames.h"

using namespace retort;

namespace {

KmeansOptions job(int64_t clusters) {
  KmeansOptions options;
  options.clusters = clusters;
  options.engine = "native";
  options.threads = 2;
  return options;
}

double mean_squared_error(const Matrix& frames, const ProductCodebook& codebook) {
  std::vector<std::byte> codes(static_cast<size_t>(codebook.subspaces()));
  std::vector<float> decoded(static_cast<size_t>(codebook.dim()));
  double sum = 0;
  for (int64_t i = 0; i < frames.rows(); ++i) {
    codebook.encode(frames.row(i).data(), codes.data());
    REQUIRE(codebook.decode(codes.data(), decoded.data()));
    for (int64_t j = 0; j < frames.columns(); ++j)
      sum += std::pow(static_cast<double>(frames(i, j)) - decoded[static_cast<size_t>(j)], 2);
  }
  return sum / static_cast<double>(frames.rows());
}

}  // namespace

TEST_CASE("columns of a source, in memory or not", "[kmeans]") {
  const Matrix frames = random_matrix(200, 6, 1);
  const GatheredFrames held = as_source(frames);
  const PickedFrames read(held, {0, 3, 5, 199});
  Matrix columns(200, 2);
  ColumnsOfFrames(held, 3, 2).read_rows(0, 200, columns.data());
  CHECK(columns(150, 1) == frames(150, 4));
  ColumnsOfFrames(read, 5, 1).read_rows(1, 3, columns.data());
  CHECK(columns.data()[2] == frames(199, 5));
  CHECK(ColumnsOfFrames(held, 3, 2).row_name(17) == "made frame 17");
}

TEST_CASE("a product codebook's inertia is the error of decoded frames", "[kmeans]") {
  const Matrix frames = random_matrix(3000, 12, 2);
  const GatheredFrames source = as_source(frames);
  double coarser = 1e9;
  for (const int64_t subspaces : {1, 2, 4, 12}) {
    const ProductResult result = train_product_codebook(source, job(32), subspaces);
    CHECK(result.codebook.subspaces() == subspaces);
    CHECK(result.subspaces.size() == static_cast<size_t>(subspaces));
    CHECK(result.inertia == Approx(mean_squared_error(frames, result.codebook)).epsilon(1e-9));
    CHECK(result.inertia < coarser);
    coarser = result.inertia;
  }
}

TEST_CASE("a product codebook follows from the seed, not from threads", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(2000, 8, 3));
  KmeansOptions options = job(16);
  const std::string hash = train_product_codebook(source, options, 4).codebook.hash();
  options.threads = 1;
  CHECK(train_product_codebook(source, options, 4).codebook.hash() == hash);
  options.seed = 1;
  CHECK(train_product_codebook(source, options, 4).codebook.hash() != hash);
}

TEST_CASE("product codebooks that cannot be are refused", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(1000, 8, 4));
  CHECK_THROWS_WITH(train_product_codebook(source, job(16), 3), Catch::Contains("equal pieces"));
  CHECK_THROWS_WITH(train_product_codebook(source, job(257), 4), Catch::Contains("1 to 256"));
  KmeansOptions options = job(16);
  options.init = "start.npy";
  CHECK_THROWS_WITH(train_product_codebook(source, options, 4), Catch::Contains("init start.npy"));
}

TEST_CASE("a product codebook is read as it was written", "[kmeans]") {
  const TemporaryFolder folder;
  const ProductResult result = train_product_codebook(as_source(random_matrix(500, 6, 5)), job(9), 3);
  FrameOrigin origin;
  origin.layer = "enc3";
  write_product_codebook(folder.path(),
                         {std::make_shared<const ProductCodebook>(result.codebook), origin, {{"more", 1}}});
  CHECK(is_product_codebook(folder.path()));
  const StoredProductCodebook read = read_product_codebook(folder.path());
  CHECK(read.codebook->hash() == result.codebook.hash());
  CHECK(read.origin == origin);
  CHECK(read.report.at("more") == 1);

  StoreInfo info;
  info.dim = 6;
  info.origin.layer = "enc3";
  set_value_type(info, "pq", folder.path().string());
  CHECK(info.subspaces == 3);
  info.origin.layer = "enc4";
  CHECK_THROWS_WITH(set_value_type(info, "pq", folder.path().string()),
                    Catch::Contains("layer enc3, these have enc4"));
  CHECK_THROWS_WITH(set_value_type(info, "pq", ""), Catch::Contains("needs a product codebook"));
  CHECK_THROWS_WITH(set_value_type(info, "f16", folder.path().string()), Catch::Contains("no use"));
}
