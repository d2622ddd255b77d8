// The CUDA engine on a GPU, where there is one: the codebook is the native engine's, byte for byte.
#include <algorithm>
#include <catch2/catch.hpp>

#include "base/error.h"
#include "kmeans/device_engines.h"
#include "kmeans/kmeans.h"
#include "made_frames.h"
#include "torch_kmeans/use_torch_kmeans.h"

using namespace retort;

namespace {

KmeansOptions job(const std::string& device) {
  KmeansOptions options;
  options.clusters = 300;
  options.iterations = 5;
  options.device = device;
  return options;
}

bool has_cuda_engine() {
  try {
    use_torch_kmeans();
    require_device("cuda");
    return resolve_kmeans_engine("auto", "cuda") == "cuda";
  } catch (const Error& error) {
    WARN("SKIPPED: " << error.what());
    return false;
  }
}

}  // namespace

TEST_CASE("engine cuda gives the codebook of the native engine", "[kmeans]") {
  if (!has_cuda_engine()) return;
  const GatheredFrames source = as_source(random_matrix(60000, 130, 1));
  const KmeansResult expected = run_kmeans(source, job("cpu"));
  for (const int64_t gpu_memory : {int64_t{0}, int64_t{40} << 20}) {
    KmeansOptions options = job("cuda");
    options.gpu_memory = gpu_memory;
    const KmeansResult found = run_kmeans(source, options);
    CAPTURE(gpu_memory);
    CHECK(found.engine == "cuda");
    CHECK(found.sizes == expected.sizes);
    CHECK(found.curve == expected.curve);
    CHECK(std::equal(found.centroids.values().begin(), found.centroids.values().end(),
                     expected.centroids.values().begin()));
  }
}

TEST_CASE("a GPU that is not there is an error of one line", "[kmeans]") {
  use_torch_kmeans();
  const GatheredFrames source = as_source(random_matrix(400, 3, 2));
  CHECK_THROWS_AS(run_kmeans(source, job("cuda:999")), Error);
}
