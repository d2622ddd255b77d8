// Processes that share the frames learn to the last bit what one learns, with threads in their place.
#include "kmeans/shared_passes.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "../processes/thread_link.h"
#include "base/error.h"
#include "base/files.h"
#include "kmeans/product_quantiser.h"
#include "made_frames.h"
#include "store/npy.h"

using namespace retort;

namespace {

KmeansOptions job(int64_t clusters) {
  KmeansOptions options;
  options.clusters = clusters;
  options.engine = "native";
  options.iterations = 5;
  options.threads = 1;
  return options;
}

bool same(const Matrix& a, const Matrix& b) {
  return std::equal(a.values().begin(), a.values().end(), b.values().begin(), b.values().end());
}

// What is wrong with what each of `count` processes gets, against one's result.
std::vector<std::string> differences(const FrameSource& source, const KmeansOptions& options, int count) {
  const KmeansResult one = run_kmeans(source, options);
  std::vector<std::string> wrong(static_cast<size_t>(count));
  std::vector<int32_t> labels(one.labels.size(), -1);
  in_processes(count, [&](const Processes& processes) {
    const KmeansResult result = run_kmeans(source, options, processes);
    std::copy(result.labels.begin(), result.labels.end(), labels.begin() + result.first_label);
    std::string& text = wrong[static_cast<size_t>(processes.rank())];
    if (!same(result.centroids, one.centroids)) text += "centroids ";
    if (result.sizes != one.sizes) text += "sizes ";
    if (result.curve != one.curve) text += "curve ";
    if (result.inertia != one.inertia || result.starts != one.starts) text += "inertia ";
    if (result.splits != one.splits || result.frames != one.frames) text += "counts ";
    if (result.mini_batches != one.mini_batches) text += "batches ";
  });
  if (labels != one.labels) wrong.front() += "labels ";
  return wrong;
}

}  // namespace

TEST_CASE("any number of processes makes the result of one, to the last bit", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(3000, 7, 1, -1000, 1));
  for (const int count : {2, 3}) {
    const std::vector<std::string> none(static_cast<size_t>(count));
    for (const char* init : {"random", "kmeans++", "kmeans-parallel"}) {
      KmeansOptions options = job(12);
      options.init = init;
      CHECK(differences(source, options, count) == none);
    }
    KmeansOptions options = job(12);
    options.exhaustive = true;
    options.starts = 3;
    CHECK(differences(source, options, count) == none);
    options = job(12);
    options.points_per_centroid = 20;
    CHECK(differences(source, options, count) == none);
    options = job(12);
    options.mini_batch = 100;
    CHECK(differences(source, options, count) == none);
  }
}

TEST_CASE("processes put an empty cluster where one process puts it", "[kmeans]") {
  Matrix frames = random_matrix(500, 3, 2);
  frames(321, 1) = 50;  // the farthest of all, in the second or third process
  Matrix start = random_matrix(6, 3, 3);
  start(4, 0) = 1e6;  // nobody's nearest
  const TemporaryFolder folder;
  write_npy_matrix(folder.path() / "start.npy", start);
  KmeansOptions options = job(6);
  options.init = (folder.path() / "start.npy").string();
  const GatheredFrames source = as_source(frames);
  CHECK(run_kmeans(source, options).splits > 0);
  CHECK(differences(source, options, 2) == std::vector<std::string>(2));
  CHECK(differences(source, options, 3) == std::vector<std::string>(3));
}

TEST_CASE("sums of many processes hold values of all sizes", "[kmeans]") {
  // Processes use different bins of exact sums: the second half is tiny.
  Matrix frames = random_matrix(600, 2, 4, -1e20, 1e20);
  for (int64_t i = 300; i < 600; ++i) frames(i, 0) = 1e-30f * static_cast<float>(i), frames(i, 1) = 0;
  CHECK(differences(as_source(frames), job(5), 2) == std::vector<std::string>(2));
}

TEST_CASE("a product codebook is that of one process", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(900, 6, 5));
  const std::string hash = train_product_codebook(source, job(8), 3).codebook.hash();
  std::vector<std::string> hashes(2);
  in_processes(2, [&](const Processes& processes) {
    hashes[static_cast<size_t>(processes.rank())] =
        train_product_codebook(source, job(8), 3, processes).codebook.hash();
  });
  CHECK(hashes == std::vector<std::string>(2, hash));
}

TEST_CASE("more processes than frames, and FAISS, are refused", "[kmeans]") {
  ProcessEnvironment place;
  place.count = 4;
  Meeting meeting(1);
  const Processes four(place, std::make_unique<ThreadLink>(meeting));
  CHECK_THROWS_WITH(run_kmeans(as_source(random_matrix(3, 2, 6)), job(2), four),
                    Catch::Contains("too few for 4 processes"));
#ifdef RETORT_WITH_FAISS
  KmeansOptions options = job(2);
  options.engine = "faiss";
  CHECK_THROWS_WITH(run_kmeans(as_source(random_matrix(30, 2, 6)), options, four),
                    Catch::Contains("in one process"));
#endif
}
