#include "kmeans/kmeans.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "base/files.h"
#include "base/threads.h"
#include "kmeans/frame_memory.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/partial_clusters.h"
#include "made_frames.h"
#include "store/npy.h"

using namespace retort;

namespace {

KmeansOptions small_job(int64_t clusters, const std::string& engine = "native") {
  KmeansOptions options;
  options.clusters = clusters;
  options.engine = engine;
  options.threads = 2;
  return options;
}

std::vector<float> values_of(const Matrix& matrix) {
  return {matrix.values().begin(), matrix.values().end()};
}

// A (K, dim) .npy to start from, in a folder that lives as long as this.
class StartFile {
 public:
  explicit StartFile(const Matrix& centroids) { write_npy_matrix(folder_.path() / "start.npy", centroids); }
  std::string path() const { return (folder_.path() / "start.npy").string(); }

 private:
  TemporaryFolder folder_;
};

// Frames that are said not to be in memory.
class FramesOfFile : public ForwardedFrames {
 public:
  using ForwardedFrames::ForwardedFrames;
  bool in_memory() const override { return false; }
  const float* rows_in_place(int64_t, int64_t) const override { return nullptr; }
};

double mean_squared_distance(const Matrix& frames, const Matrix& centroids) {
  double sum = 0;
  for (int64_t i = 0; i < frames.rows(); ++i) {
    double least = std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < centroids.rows(); ++k) {
      double distance = 0;
      for (int64_t j = 0; j < frames.columns(); ++j)
        distance += std::pow(static_cast<double>(frames(i, j)) - centroids(k, j), 2);
      least = std::min(least, distance);
    }
    sum += least;
  }
  return sum / static_cast<double>(frames.rows());
}

}  // namespace

TEST_CASE("an iteration moves each centroid to the mean of its frames", "[kmeans]") {
  Matrix frames(5, 1), start(2, 1);
  const float line[] = {0, 1, 2, 10, 12};
  for (int64_t i = 0; i < 5; ++i) frames(i, 0) = line[i];
  start(1, 0) = 20;
  const StartFile file(start);
  for (const bool exhaustive : {false, true}) {
    KmeansOptions options = small_job(2);
    options.exhaustive = exhaustive;
    options.init = file.path();
    options.iterations = 1;
    const KmeansResult once = run_kmeans(as_source(frames), options);
    // 10 is as near to 0 as to 20: the lower index has it.
    CHECK(values_of(once.centroids) == std::vector<float>{13.0f / 4, 12});
    CHECK(once.curve == std::vector<double>{(0 + 1 + 4 + 100 + 64) / 5.0});
    options.iterations = 10;
    const KmeansResult settled = run_kmeans(as_source(frames), options);
    CHECK(values_of(settled.centroids) == std::vector<float>{1, 11});
    CHECK(settled.sizes == std::vector<int64_t>{3, 2});
    CHECK(settled.inertia == Approx(4 / 5.0));
    CHECK(settled.curve.size() == 3);  // the third pass moves no frame
  }
}

TEST_CASE("the objective never grows and is that of the centroids", "[kmeans]") {
  const Matrix frames = random_matrix(1500, 10, 1);
  for (const char* init : {"random", "kmeans++", "kmeans-parallel"}) {
    KmeansOptions options = small_job(20);
    options.init = init;
    const KmeansResult result = run_kmeans(as_source(frames), options);
    CHECK(std::is_sorted(result.curve.rbegin(), result.curve.rend()));
    CHECK(result.inertia == Approx(mean_squared_distance(frames, result.centroids)));
    CHECK(result.inertia <= result.curve.back());
    CHECK(std::accumulate(result.sizes.begin(), result.sizes.end(), int64_t{0}) == 1500);
    REQUIRE(result.labels.size() == 1500);
    for (int32_t k = 0; k < 20; ++k)
      CHECK(std::count(result.labels.begin(), result.labels.end(), k) ==
            result.sizes[static_cast<size_t>(k)]);
  }
}

TEST_CASE("bounds, threads and chunks give the same centroids; another seed gives others", "[kmeans]") {
  const Matrix frames = random_matrix(20000, 7, 2);  // more than one chunk of frames
  const GatheredFrames source = as_source(frames);
  KmeansOptions options = small_job(12);
  options.iterations = 4;
  const std::vector<float> expected = values_of(run_kmeans(source, options).centroids);
  for (const int threads : {1, 3}) {
    options.threads = threads;
    CHECK(values_of(run_kmeans(source, options).centroids) == expected);
  }
  options.exhaustive = true;
  CHECK(values_of(run_kmeans(source, options).centroids) == expected);
  options.seed = 1;
  CHECK(values_of(run_kmeans(source, options).centroids) != expected);
}

TEST_CASE("a cluster that lost its frames is put on a frame far from its centroid", "[kmeans]") {
  Matrix frames(40, 2), start(3, 2);
  for (int64_t i = 0; i < 40; ++i) {
    frames(i, 0) = i < 20 ? 0 : 10;
    frames(i, 1) = 0.01f * static_cast<float>(i);
  }
  start(1, 0) = 9;
  start(2, 0) = 1e6;  // nobody's nearest
  const StartFile file(start);
  KmeansOptions options = small_job(3);
  options.init = file.path();
  const KmeansResult result = run_kmeans(as_source(frames), options);
  CHECK(result.splits == 1);
  CHECK(*std::min_element(result.sizes.begin(), result.sizes.end()) > 0);
  CHECK(result.inertia < 0.01);
}

TEST_CASE("without iterations an empty cluster is refilled all the same", "[kmeans]") {
  Matrix start(2, 4);
  for (int64_t j = 0; j < 4; ++j) start(1, j) = 100;
  const StartFile file(start);
  KmeansOptions options = small_job(2);
  options.init = file.path();
  options.iterations = 0;
  const KmeansResult result = run_kmeans(as_source(random_matrix(50, 4, 3)), options);
  CHECK(result.splits == 1);
  CHECK(*std::min_element(result.sizes.begin(), result.sizes.end()) > 0);
}

TEST_CASE("kmeans++ finds the small groups that random picks miss", "[kmeans]") {
  // A big group and nine small ones far away: random picks put most centroids into the big one.
  Matrix frames(1000, 2);
  Random random(4);
  for (int64_t i = 0; i < 1000; ++i) {
    const int64_t group = i < 910 ? 0 : 1 + (i - 910) / 10;
    frames(i, 0) = static_cast<float>(100 * group + random.uniform());
    frames(i, 1) = static_cast<float>(random.uniform());
  }
  const GatheredFrames source = as_source(frames);
  KmeansOptions options = small_job(10);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    options.seed = seed;
    options.init = "kmeans++";
    const double spread_out = mean_squared_distance(frames, initial_centroids(source, options));
    options.init = "random";
    CHECK(spread_out < 0.1 * mean_squared_distance(frames, initial_centroids(source, options)));
  }
}

TEST_CASE("FAISS's loop reaches the objective of ours", "[kmeans]") {
#ifdef RETORT_WITH_FAISS
  const Matrix frames = random_matrix(3000, 8, 5);
  const GatheredFrames source = as_source(frames);
  const KmeansResult ours = run_kmeans(source, small_job(30));
  const KmeansResult faiss = run_kmeans(source, small_job(30, "faiss"));
  CHECK(faiss.engine == "faiss");
  CHECK(faiss.inertia == Approx(ours.inertia).epsilon(0.03));
  CHECK(faiss.inertia == Approx(mean_squared_distance(frames, faiss.centroids)).epsilon(1e-6));
#else
  CHECK_THROWS_WITH(resolve_kmeans_engine("faiss", "cpu"), Catch::Contains("FAISS"));
#endif
}

TEST_CASE("a sample of the frames is trained on", "[kmeans]") {
  KmeansOptions options = small_job(5);
  options.points_per_centroid = 40;
  const KmeansResult result = run_kmeans(as_source(random_matrix(1000, 3, 6)), options);
  CHECK(result.frames == 200);
  CHECK(std::accumulate(result.sizes.begin(), result.sizes.end(), int64_t{0}) == 200);
  CHECK(training_frames(150, options) == 150);
}

TEST_CASE("samples are ascending, without repetition, and every frame is as likely", "[kmeans]") {
  std::vector<int> drawn(50);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const std::vector<int64_t> rows = sample_rows(50, 10, seed);
    REQUIRE(rows.size() == 10);
    REQUIRE(std::is_sorted(rows.begin(), rows.end()));
    REQUIRE(std::set<int64_t>(rows.begin(), rows.end()).size() == 10);
    for (const int64_t row : rows) ++drawn[static_cast<size_t>(row)];
  }
  // 400 expected, standard deviation 18.
  CHECK(*std::min_element(drawn.begin(), drawn.end()) > 400 - 90);
  CHECK(*std::max_element(drawn.begin(), drawn.end()) < 400 + 90);
}

TEST_CASE("one cluster is the mean of all frames", "[kmeans]") {
  for (const int64_t dim : {1, 5}) {
    const Matrix frames = random_matrix(501, dim, 8);
    const KmeansResult result = run_kmeans(as_source(frames), small_job(1));
    CHECK(result.sizes == std::vector<int64_t>{501});
    for (int64_t j = 0; j < dim; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < 501; ++i) sum += static_cast<double>(frames(i, j));
      CHECK(result.centroids(0, j) == static_cast<float>(sum / 501));
    }
    CHECK(result.inertia == Approx(mean_squared_distance(frames, result.centroids)));
  }
}

TEST_CASE("of several starts the best is kept", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(600, 4, 9));
  KmeansOptions options = small_job(15);
  options.init = "random";
  options.iterations = 3;
  const KmeansResult first = run_kmeans(source, options);
  options.starts = 6;
  const KmeansResult best = run_kmeans(source, options);
  REQUIRE(best.starts.size() == 6);
  CHECK(best.starts.front() == first.inertia);
  CHECK(best.inertia == *std::min_element(best.starts.begin(), best.starts.end()));
  CHECK(std::set<double>(best.starts.begin(), best.starts.end()).size() == 6);
  CHECK(best.inertia == Approx(mean_squared_distance(random_matrix(600, 4, 9), best.centroids)));
}

TEST_CASE("a tolerance ends the iterations early", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(3000, 6, 10));
  KmeansOptions options = small_job(20);
  const KmeansResult whole = run_kmeans(source, options);
  options.tolerance = 0.01;
  const KmeansResult early = run_kmeans(source, options);
  REQUIRE(early.curve.size() >= 2);
  REQUIRE(early.curve.size() < whole.curve.size());
  for (size_t i = 1; i < early.curve.size(); ++i) {
    const double gain = (whole.curve[i - 1] - whole.curve[i]) / whole.curve[i - 1];
    CHECK((gain > 0.01) == (i + 1 < early.curve.size()));
  }
}

TEST_CASE("normalised frames have length one, or no mean and unit variance", "[kmeans]") {
  Matrix frames = random_matrix(3000, 5, 11, 90, 110);
  for (int64_t i = 0; i < 3000; ++i) frames(i, 2) = 7;
  const GatheredFrames source = as_source(frames);
  Matrix rows(3000, 5);
  const FeatureNorm l2 = measure_norm(source, "l2");
  NormalisedFrames(source, l2).read_rows(0, 3000, rows.data());
  double length = 0;
  for (const float value : rows.row(17)) length += static_cast<double>(value) * value;
  CHECK(length == Approx(1).epsilon(1e-6));
  const FeatureNorm meanvar = measure_norm(source, "meanvar");
  NormalisedFrames(source, meanvar).read_rows(0, 3000, rows.data());
  for (int64_t j = 0; j < 5; ++j) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 3000; ++i) sum += rows(i, j), squares += std::pow(rows(i, j), 2);
    CHECK(std::abs(sum / 3000) < 1e-6);
    CHECK(squares / 3000 == Approx(j == 2 ? 0 : 1).margin(1e-5));
  }
  CHECK(FeatureNorm::from_json(meanvar.to_json(), "here") == meanvar);
}

TEST_CASE("a reservoir holds the sample that would be drawn of all frames", "[kmeans]") {
  const Matrix frames = random_matrix(700, 2, 18);
  for (const int64_t wanted : {1, 90, 700}) {
    ReservoirFrames reservoir(2, wanted, 5);
    for (int64_t first = 0; first < 700; first += 70) {
      Matrix some(70, 2);
      std::copy_n(frames.row(first).data(), 140, some.data());
      reservoir.add(std::to_string(first), some);
    }
    reservoir.finish();
    const std::vector<int64_t> rows = sample_training_rows(700, wanted, 5);
    REQUIRE(reservoir.frames() == wanted);
    REQUIRE(std::is_sorted(rows.begin(), rows.end()));
    REQUIRE(std::set<int64_t>(rows.begin(), rows.end()).size() == static_cast<size_t>(wanted));
    for (int64_t i = 0; i < wanted; ++i) {
      float row[2];
      reservoir.read_rows(i, 1, row);
      const int64_t drawn = rows[static_cast<size_t>(i)];
      CHECK(std::equal(row, row + 2, frames.row(drawn).data()));
      CHECK(reservoir.row_name(i) == fmt::format("{} frame {}", drawn / 70 * 70, drawn % 70));
    }
  }
}

TEST_CASE("impossible jobs are refused in words", "[kmeans]") {
  const Matrix frames = random_matrix(10, 2, 7);
  CHECK_THROWS_WITH(run_kmeans(as_source(frames), small_job(11)),
                    Catch::Contains("10 frames are too few for 11"));
  CHECK_THROWS_WITH(run_kmeans(as_source(frames), small_job(0)), Catch::Contains("1 to 65536"));
  KmeansOptions vague = small_job(2);
  vague.tolerance = 1;
  CHECK_THROWS_WITH(run_kmeans(as_source(frames), vague), Catch::Contains("tolerance 1"));
  CHECK_THROWS_WITH(run_kmeans(as_source(Matrix(10, 2)), small_job(2)),
                    Catch::Contains("only 1 of 10 frames"));
  Matrix spoilt = frames;
  spoilt(6, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(run_kmeans(as_source(spoilt), small_job(2)), Catch::Contains("made frame 6"));
  // Where the start does not come across it, the first pass does.
  Matrix many = random_matrix(5000, 2, 8);
  many(4321, 0) = -std::numeric_limits<float>::infinity();
  const StartFile file(random_matrix(2, 2, 9));
  KmeansOptions options = small_job(2);
  options.init = file.path();
  CHECK_THROWS_WITH(run_kmeans(as_source(many), options), Catch::Contains("made frame 4321"));
}

TEST_CASE("streamed and held frames make the centroids that mapped ones make", "[kmeans]") {
  const Matrix frames = random_matrix(30000, 16, 12);
  const GatheredFrames gathered = as_source(frames);
  const FramesOfFile source(gathered);
  const KmeansOptions options = small_job(9);
  const KmeansResult expected = run_kmeans(source, options);
  CHECK(values_of(run_kmeans(StreamedFrames(source, 8192), options).centroids) ==
        values_of(expected.centroids));
  CHECK(values_of(run_kmeans(HeldFrames(source), options).centroids) == values_of(expected.centroids));
}

TEST_CASE("streamed rows are those of the source, in any order and from several threads", "[kmeans]") {
  const Matrix frames = random_matrix(5000, 3, 13);
  const GatheredFrames source = as_source(frames);
  const StreamedFrames streamed(source, 512);
  Matrix block(512, 3);
  for (const int64_t first : {0, 512, 1024, 4608, 0, 512, 2048}) {
    streamed.begin_chunk(first);
    const int64_t count = std::min<int64_t>(512, 5000 - first);
    streamed.read_rows(first, count, block.data());
    CHECK(std::equal(block.data(), block.data() + count * 3, frames.row(first).data()));
  }
  parallel_for(400, 3, [&](size_t i) {
    Random mine(i);
    const auto count = static_cast<int64_t>(1 + mine.below(700));
    const auto first = static_cast<int64_t>(mine.below(static_cast<uint64_t>(5000 - count)));
    Matrix rows(count, 3);
    streamed.read_rows(first, count, rows.data());
    if (!std::equal(rows.values().begin(), rows.values().end(), frames.row(first).data()))
      throw std::runtime_error("other rows than the source's");
  });
  CHECK(streamed.row_name(7) == "made frame 7");
}

TEST_CASE("a budget of memory decides, and says what would do", "[kmeans]") {
  const GatheredFrames gathered = as_source(random_matrix(100000, 64, 15));  // 25 MB
  const FramesOfFile source(gathered);
  KmeansOptions options = small_job(4);
  options.memory = int64_t{1} << 40;
  CHECK(dynamic_cast<HeldFrames*>(fit_in_memory(source, options).get()) != nullptr);
  options.memory = resident_bytes() + (int64_t{35} << 20);
  CHECK(dynamic_cast<StreamedFrames*>(fit_in_memory(source, options).get()) != nullptr);
  options.memory = 1 << 20;
  CHECK_THROWS_WITH(fit_in_memory(source, options),
                    Catch::Contains("1 MiB is too little") && Catch::Contains("at least "));
  options.points_per_centroid = 100;
  CHECK_THROWS_WITH(run_kmeans(source, options), Catch::Contains("too little to hold 400 frames"));
}

TEST_CASE("parts of the frames learn together what one pass learns, to the last bit", "[kmeans]") {
  const GatheredFrames source = as_source(random_matrix(3000, 4, 16));
  Matrix centroids = random_matrix(7, 4, 17);
  centroids(3, 0) = 1e6;  // an empty cluster, so that the farthest frames are looked for
  const std::vector<float> reference{0.1f, -0.2f, 0.3f, 0};
  const Clusters whole = assign_shard(source, small_job(7), centroids, reference, {0, 1}).about(centroids);
  const TemporaryFolder folder;
  PartialClusters all(7, reference);
  for (int i = 0; i < 5; ++i) {
    assign_shard(source, small_job(7), centroids, reference, {i, 5}).write(folder.path() / "part", i);
    PartialClusters part(7, reference);
    CHECK_THROWS_WITH(part.read(folder.path() / "part", i + 1), Catch::Contains("of another job"));
    CHECK_THROWS_WITH(PartialClusters(8, reference).read(folder.path() / "part", i),
                      Catch::Contains("fewer values"));
    part.read(folder.path() / "part", i);
    all.merge(part);
  }
  const Clusters together = all.about(centroids);
  CHECK(together.sums == whole.sums);
  CHECK(together.sizes == whole.sizes);
  CHECK(together.spread == whole.spread);
  CHECK(together.inertia == whole.inertia);
  CHECK(together.farthest == whole.farthest);
  CHECK(together.farthest_distance == whole.farthest_distance);
}
