// The engines' labels of rows, without anything remembered.
#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "kmeans/centroid_groups.h"
#include "kmeans/kmeans.h"
#include "kmeans/native_search.h"
#include "kmeans/nearest_search.h"

namespace retort {
namespace {

class NativeAssigner : public Assigner {
 public:
  NativeAssigner(const Matrix& centroids, int threads)
      : centroids_(centroids, group_centroids(centroids, panel_width), score_kernels(cpu_path())),
        threads_(threads),
        searches_([this] { return std::make_unique<NativeSearch>(centroids_); }) {}

  void assign(const float* rows, int64_t count, int32_t* labels, double* distances) override {
    constexpr int64_t task = NativeSearch::block_rows;
    parallel_for(static_cast<size_t>((count + task - 1) / task), threads_, [&](size_t index) {
      const int64_t first = static_cast<int64_t>(index) * task;
      searches_.use([&](NativeSearch& search) {
        assign_block(search, rows + first * centroids_.dim(), std::min(task, count - first), labels + first,
                     distances ? distances + first : nullptr);
      });
    });
  }

 private:
  void assign_block(NativeSearch& search, const float* rows, int64_t count, int32_t* labels,
                    double* distances) const {
    std::vector<FrameBounds> bounds(static_cast<size_t>(count));
    std::array<const float*, NativeSearch::block_rows> pointers{};
    for (int64_t i = 0; i < count; ++i) pointers[static_cast<size_t>(i)] = rows + i * centroids_.dim();
    search.search(pointers.data(), count, bounds.data());
    for (int64_t i = 0; i < count; ++i) {
      labels[i] = bounds[static_cast<size_t>(i)].label;
      if (distances)
        distances[i] = squared_distance(rows + i * centroids_.dim(),
                                        centroids_.centroids().row(labels[i]).data(), centroids_.dim());
    }
  }

  const PanelledCentroids centroids_;
  const int threads_;
  Pool<NativeSearch> searches_;
};

#ifdef RETORT_WITH_CUDA
constexpr const char* engine_on_cuda = "cuda";
#else
constexpr const char* engine_on_cuda = "torch";
#endif

bool wants_cuda(const std::string& device) {
  return device.starts_with("cuda");
}

}  // namespace

std::string resolve_kmeans_engine(const std::string& engine, const std::string& device) {
  const std::string resolved = engine != "auto" ? engine : wants_cuda(device) ? engine_on_cuda : "native";
  if (resolved != "cuda" && resolved != "torch" && resolved != "faiss" && resolved != "native")
    fail_usage("engine {}: should be auto, native, cuda, torch or faiss", engine);
#ifndef RETORT_WITH_TORCH
  if (resolved == "torch")
    fail_usage("engine {} on {}: this build has no LibTorch; use --engine native --device cpu", engine,
               device);
#endif
#ifndef RETORT_WITH_CUDA
  if (resolved == "cuda")
    fail_usage(
        "engine cuda: this build has no CUDA kernels (docs/tools/retort-cluster.md); use --engine torch");
#endif
#ifndef RETORT_WITH_FAISS
  if (resolved == "faiss") fail_usage("engine faiss: this build has no FAISS; use --engine auto");
#endif
  const bool on_gpu = resolved == "cuda" || resolved == "torch";
  if (on_gpu && !wants_cuda(device))
    fail_usage("engine {} runs on cuda only; use --engine native for {}", engine, device);
  if (!on_gpu && wants_cuda(device))
    fail_usage("engine {} runs on the cpu only; use --engine auto for {}", engine, device);
  return resolved;
}

std::unique_ptr<Assigner> make_assigner(const Matrix& centroids, const std::string& engine,
                                        const std::string& device, int threads) {
  if (centroids.rows() < 1 || centroids.columns() < 1) fail("a codebook needs at least one centroid");
  const std::string resolved = resolve_kmeans_engine(engine == "faiss" ? "auto" : engine, device);
  const int workers = threads > 0 ? threads : available_threads();
#ifdef RETORT_WITH_TORCH
  // Rows that come and go gain nothing from kernels for rows that stay.
  if (resolved == "torch" || resolved == "cuda") {
    const CentredCentroids centred(centroids);
    return make_settling_assigner(centroids, make_torch_search(centred, device), workers);
  }
#endif
  return std::make_unique<NativeAssigner>(centroids, workers);
}

}  // namespace retort
