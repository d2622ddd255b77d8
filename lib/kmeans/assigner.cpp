// Which engine labels rows.
#include "base/error.h"
#include "base/threads.h"
#include "kmeans/device_engines.h"
#include "kmeans/kmeans.h"

namespace retort {
namespace {

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
  // Rows that come and go gain nothing from kernels for rows that stay.
  if (resolved == "torch" || resolved == "cuda") {
    require_device(device);
    const CentredCentroids centred(centroids);
    return make_settling_assigner(centroids, device_engines.make_search(centred, device), workers);
  }
  return make_native_assigner(centroids, workers);
}

}  // namespace retort
