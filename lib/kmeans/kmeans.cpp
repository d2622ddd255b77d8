#include "kmeans/kmeans.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/threads.h"
#include "kmeans/faiss_lloyd.h"
#include "kmeans/frame_sources.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/lloyd.h"

namespace retort {
namespace {

class Stopwatch {
 public:
  // Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void check_source(const FrameSource& source, const KmeansOptions& options) {
  if (source.frames() < options.clusters)
    fail("{} frames are too few for {} clusters; use fewer clusters or more data", source.frames(),
         options.clusters);
}

KmeansResult cluster_frames(const FrameSource& source, const KmeansOptions& options) {
  Stopwatch watch;
  Matrix initial = initial_centroids(source, options);
  const double init_seconds = watch.lap();
#ifdef RETORT_WITH_FAISS
  KmeansResult result = options.engine == "faiss" ? run_faiss_lloyd(source, options, std::move(initial))
                                                  : run_lloyd(source, options, std::move(initial));
#else
  KmeansResult result = run_lloyd(source, options, std::move(initial));
#endif
  const double iteration_seconds = watch.lap();
  assign_finally(source, options, result);
  result.seconds = {{"init", init_seconds}, {"iterations", iteration_seconds}, {"final", watch.lap()}};
  return result;
}

}  // namespace

void check_kmeans_options(const KmeansOptions& options) {
  if (options.clusters < 1 || options.clusters > 65536)
    fail_usage("{} clusters: should be 1 to 65536", options.clusters);
  if (options.iterations < 0) fail_usage("{} iterations: should be 0 or more", options.iterations);
  if (options.points_per_centroid < 0)
    fail_usage("{} points per centroid: should be 0 (all frames) or more", options.points_per_centroid);
  if (options.init != "random" && options.init != "kmeans++" && !options.init.ends_with(".npy"))
    fail_usage("init {}: should be random, kmeans++ or a .npy file", options.init);
  resolve_kmeans_engine(options.engine, options.device);
}

KmeansResult run_kmeans(const FrameSource& source, const KmeansOptions& options) {
  check_kmeans_options(options);
  check_source(source, options);
  KmeansOptions resolved = options;
  resolved.engine = resolve_kmeans_engine(options.engine, options.device);
  resolved.threads = options.threads > 0 ? options.threads : available_threads();
  const int64_t wanted = training_frames(source.frames(), resolved);
  if (wanted == source.frames()) return cluster_frames(source, resolved);
  log_info("kmeans", "training on {} of {} frames", wanted, source.frames());
  const SampledFrames sample(source, sample_rows(source.frames(), wanted, resolved.seed));
  return cluster_frames(sample, resolved);
}

int64_t training_frames(int64_t frames, const KmeansOptions& options) {
  if (options.points_per_centroid == 0) return frames;
  return std::min(frames, options.points_per_centroid * options.clusters);
}

}  // namespace retort
