// Passes on a device against the native engine: labels and sums to the last bit. The kernels are the GPU's,
// run on the CPU.
#include "kmeans/device_passes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "emulated_device.h"
#include "kmeans/nearest_search.h"
#include "kmeans/passes.h"
#include "made_frames.h"

using namespace retort;

namespace {

constexpr int64_t plenty = int64_t{1} << 30;

KmeansOptions native_job() {
  KmeansOptions options;
  options.engine = "native";
  options.threads = 2;
  return options;
}

std::string bytes_of(const ClusterSums& sums) {
  std::string bytes;
  sums.append_to(bytes);
  return bytes;
}

void move_to_means(const Clusters& clusters, Matrix& centroids) {
  for (int64_t k = 0; k < centroids.rows(); ++k)
    for (int64_t j = 0; j < centroids.columns() && clusters.sizes[static_cast<size_t>(k)] > 0; ++j)
      centroids(k, j) = static_cast<float>(clusters.sums[static_cast<size_t>(k * centroids.columns() + j)] /
                                           static_cast<double>(clusters.sizes[static_cast<size_t>(k)]));
}

// Three passes over `frames` from its first rows, by the native engine and by a device of so many bytes.
// Returns the frames whose labels were in doubt.
int64_t compare(const Matrix& frames, int64_t clusters, int64_t device_bytes, int64_t slice_rows,
                bool last_warp_first = false, int passes = 3) {
  const GatheredFrames source = as_source(frames);
  const KmeansOptions options = native_job();
  Matrix centroids = first_rows(frames, clusters);
  const std::vector<float> reference = CentredCentroids(centroids).mean;
  auto emulated = std::make_unique<EmulatedDevice>(device_bytes, last_warp_first);
  const EmulatedDevice& device = *emulated;
  KmeansOptions device_options = options;
  device_options.gpu_memory = device_bytes;
  DevicePasses found(source, device_options, clusters, reference, std::move(emulated),
                     {std::min<int64_t>(slice_rows, 128), slice_rows});
  Passes expected(source, options, reference);
  Progress progress("test", "frames", 0);
  for (int pass = 0; pass < passes; ++pass) {
    const Clusters there = found.run(centroids, progress);
    const Clusters here = expected.run(centroids, progress);
    CAPTURE(pass, frames.rows(), frames.columns(), clusters);
    REQUIRE(found.labels() == expected.labels());
    CHECK(there.sums == here.sums);
    CHECK(there.sizes == here.sizes);
    CHECK(there.spread == here.spread);
    CHECK(there.inertia == here.inertia);
    CHECK(there.changed == here.changed);
    move_to_means(here, centroids);
  }
  return device.settled();
}

}  // namespace

TEST_CASE("a device's passes are the native engine's, to the last bit", "[kmeans]") {
  // One tile and several, full and not; both widths of tiles; dimensions that fill a step, and odd ones.
  CHECK(compare(frames_with_copies(300, 40, 20, 1), 50, plenty, 300) > 0);
  compare(frames_with_copies(700, 33, 90, 2), 200, plenty, 1 << 20);
  compare(frames_with_copies(260, 64, 30, 3), 130, plenty, 128, true);
  compare(frames_with_copies(400, 7, 300, 4), 300, plenty, 256);
  compare(frames_with_copies(90, 1, 10, 5), 3, plenty, 64);
  compare(frames_with_copies(64, 150, 4, 6), 1, plenty, 64);
  compare(frames_with_copies(200, 150, 60, 13), 100, plenty, 200);
  compare(frames_with_copies(200, 150, 60, 14), 100, plenty, 200, true);
}

TEST_CASE("frames that pass through a small device give the same", "[kmeans]") {
  const Matrix frames = frames_with_copies(1500, 20, 15, 7);
  const DeviceShape shape{1500, 20, 25};
  const SliceLimits limits{128, 256};
  const int64_t all = plan_device_memory(shape, plenty, limits).bytes;
  int64_t least = all;
  while (true) {
    try {
      plan_device_memory(shape, least - 1024, limits);
      least -= 1024;
    } catch (const Error&) {
      break;
    }
  }
  CHECK(least < all * 9 / 10);
  compare(frames, 25, least, 256);
  compare(frames, 25, (least + all) / 2, 256, true);
}

TEST_CASE("frames that scores say nothing of are settled", "[kmeans]") {
  Matrix frames = frames_with_copies(200, 12, 20, 8);
  for (int64_t j = 0; j < 12; ++j) {
    frames(3, j) *= 1e20f;   // overflows
    frames(60, j) *= 1e18f;  // would as a square
    frames(90, j) = 0;
  }
  compare(frames, 10, plenty, 200);
  Matrix tiny = frames_with_copies(150, 6, 5, 9);
  for (int64_t i = 0; i < 150; ++i)
    for (int64_t j = 0; j < 6; ++j) tiny(i, j) *= 1e-22f;
  CHECK(compare(tiny, 8, plenty, 150, false, 2) == 300);
}

TEST_CASE("values of all sizes are added up without rounding", "[kmeans]") {
  Random random(10);
  Matrix frames(250, 9);
  for (int64_t i = 0; i < 250; ++i)
    for (int64_t j = 0; j < 9; ++j)
      frames(i, j) = static_cast<float>((random.uniform() - 0.5) * std::pow(10, 20 * random.uniform() - 14));
  compare(frames, 6, plenty, 100);
}

TEST_CASE("parts of a job on a device can be merged with those of the CPU", "[kmeans]") {
  const Matrix frames = frames_with_copies(200, 10, 10, 11);
  const Matrix centroids = first_rows(frames, 12);
  const std::vector<float> reference = CentredCentroids(centroids).mean;
  const GatheredFrames source = as_source(frames);
  const KmeansOptions options = native_job();
  Progress progress("test", "frames", 0);
  DevicePasses device(source, options, 12, reference, std::make_unique<EmulatedDevice>(plenty));
  Passes host(source, options, reference);
  device.run(centroids, progress);
  host.run(centroids, progress);
  CHECK(bytes_of(device.sums()) == bytes_of(host.sums()));
}

TEST_CASE("a frame that is not finite is named", "[kmeans]") {
  Matrix frames = frames_with_copies(100, 5, 5, 12);
  frames(70, 2) = INFINITY;
  const GatheredFrames source = as_source(frames);
  const KmeansOptions options = native_job();
  const Matrix centroids = first_rows(frames, 4);
  DevicePasses passes(source, options, 4, CentredCentroids(centroids).mean,
                      std::make_unique<EmulatedDevice>(plenty));
  Progress progress("test", "frames", 0);
  CHECK_THROWS_WITH(passes.run(centroids, progress), Catch::Contains("70"));
}

TEST_CASE("a device's memory is within its budget and holds what fits", "[kmeans]") {
  const DeviceShape shape{1'000'000, 768, 500};
  const int64_t all = plan_device_memory(shape, int64_t{1} << 40).bytes;
  CHECK(plan_device_memory(shape, all).resident_rows == shape.frames);
  for (const int64_t mebibytes : {200, 500, 1000, 2000, 4000}) {
    const int64_t budget = mebibytes << 20;
    const DevicePlan plan = plan_device_memory(shape, budget);
    CAPTURE(mebibytes, plan.slice_rows, plan.resident_rows);
    CHECK(plan.bytes <= budget);
    CHECK(plan.resident_rows % plan.slice_rows == 0);
    CHECK(plan.streams(shape));
    // Another slice would be too many.
    CHECK(plan.bytes + plan.slice_rows * (768 * 6 + 20) > budget);
    char* const base = reinterpret_cast<char*>(int64_t{1} << 20);
    const DeviceMemory memory = lay_out(shape, plan, base);
    const auto end = reinterpret_cast<char*>(memory.sums + 500 * 768);
    CHECK(end - base <= plan.bytes);
    CHECK(memory.buffers[1].rows > memory.buffers[0].rows);
  }
  CHECK_THROWS_WITH(plan_device_memory(shape, 60 << 20), Catch::Contains("at least"));
}
