#include "kmeans/kmeans.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/stopwatch.h"
#include "kmeans/device_engines.h"
#include "kmeans/faiss_lloyd.h"
#include "kmeans/frame_memory.h"
#include "kmeans/frame_sources.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/lloyd.h"
#include "kmeans/mini_batch.h"
#include "kmeans/shared_frames.h"

namespace retort {
namespace {

void check_source(const FrameSource& source, const KmeansOptions& options) {
  if (source.frames() < options.clusters)
    fail("{} frames are too few for {} clusters; use fewer clusters or more data", source.frames(),
         options.clusters);
}

KmeansResult improve(const SharedFrames& frames, const KmeansOptions& options, Matrix initial) {
#ifdef RETORT_WITH_FAISS
  if (options.engine == "faiss") return run_faiss_lloyd(frames.all, options, std::move(initial));
#endif
  if (options.mini_batch > 0) return run_mini_batches(frames, options, initial);
  return run_lloyd(frames, options, Lloyd(options, std::move(initial)));
}

// One start, with the seed that `options` has.
KmeansResult cluster_once(const SharedFrames& frames, const KmeansOptions& options) {
  Stopwatch watch;
  Matrix initial = initial_centroids(frames, options);
  const double init_seconds = watch.lap();
  KmeansResult result = improve(frames, options, std::move(initial));
  result.seconds["init"] = init_seconds;
  return result;
}

KmeansResult cluster_frames(const SharedFrames& frames, const KmeansOptions& options) {
  KmeansResult best = cluster_once(frames, options);
  std::vector<double> inertias{best.inertia};
  for (int start = 1; start < options.starts; ++start) {
    KmeansOptions other = options;
    other.seed = mix_seed({options.seed, static_cast<uint64_t>(start)});
    KmeansResult result = cluster_once(frames, other);
    inertias.push_back(result.inertia);
    log_info("kmeans", "start {}: {:.6g} mean squared distance, the best so far has {:.6g}", start + 1,
             result.inertia, best.inertia);
    for (auto& [phase, seconds] : result.seconds.items())
      seconds = seconds.get<double>() + best.seconds[phase].get<double>();
    const Json seconds = result.seconds;
    if (result.inertia < best.inertia) best = std::move(result);
    best.seconds = seconds;
  }
  best.starts = std::move(inertias);
  return best;
}

KmeansResult cluster_all(const FrameSource& source, KmeansOptions& options, const Processes& processes) {
  const FrameRange range = own_range(source.frames(), processes);
  const RangeOfFrames part(source, range.first, range.count);
  const auto own = fit_in_memory(processes.alone() ? source : static_cast<const FrameSource&>(part), options);
  return cluster_frames({processes.alone() ? *own : source, *own, range.first, processes}, options);
}

// `options.points_per_centroid` frames a cluster, in memory.
KmeansResult cluster_sample(const FrameSource& source, int64_t wanted, KmeansOptions& options,
                            const Processes& processes) {
  const std::vector<int64_t> rows = sample_training_rows(source.frames(), wanted, options.seed);
  const FrameRange range = own_range(wanted, processes);
  require_memory_for(range.count, source.dim(), options);
  const auto begin = rows.begin() + range.first;
  const PickedFrames all(source, rows);
  const SampledFrames own(source, {begin, begin + range.count}, options.threads);
  const FrameSource& nearest_at_hand = processes.alone() ? static_cast<const FrameSource&>(own) : all;
  return cluster_frames({nearest_at_hand, own, range.first, processes}, options);
}

}  // namespace

bool is_way_to_start(const std::string& init) {
  return init == "random" || init == "kmeans++" || init == "kmeans-parallel";
}

void check_kmeans_options(const KmeansOptions& options) {
  if (options.clusters < 1 || options.clusters > 65536)
    fail_usage("{} clusters: should be 1 to 65536", options.clusters);
  if (options.iterations < 0) fail_usage("{} iterations: should be 0 or more", options.iterations);
  if (options.gpu_memory < 0)
    fail_usage("GPU memory {}: should be 0 (what is free) or more", options.gpu_memory);
  if (options.gpu_memory > 0 && resolve_kmeans_engine(options.engine, options.device) != "cuda")
    fail_usage("--gpu-memory: goes with engine cuda alone");
  if (options.memory < 0) fail_usage("memory {}: should be 0 (no limit) or more", options.memory);
  if (options.points_per_centroid < 0)
    fail_usage("{} points per centroid: should be 0 (all frames) or more", options.points_per_centroid);
  if (options.starts < 1) fail_usage("{} starts: should be 1 or more", options.starts);
  if (!(options.tolerance >= 0 && options.tolerance < 1))
    fail_usage("tolerance {}: should be at least 0 and less than 1", options.tolerance);
  if (options.starts > 1 && options.init.ends_with(".npy"))
    fail_usage("{} starts: {} is one; use random, kmeans++ or kmeans-parallel", options.starts, options.init);
  if (!is_way_to_start(options.init) && !options.init.ends_with(".npy"))
    fail_usage("init {}: should be random, kmeans++, kmeans-parallel, a .npy file or a codebook",
               options.init);
  if (options.init_points_per_centroid < -1)
    fail_usage("{} points per centroid to start from: should be 0 (all frames) or more",
               options.init_points_per_centroid);
  if (options.init_points_per_centroid >= 0 && options.init != "kmeans++" &&
      options.init != "kmeans-parallel")
    fail_usage("init {}: looks at no sample of points per centroid; kmeans++ and kmeans-parallel do",
               options.init);
  if (options.mini_batch < 0 || options.no_improvement < 0)
    fail_usage("mini-batch {}, no improvement {}: should be 0 or more", options.mini_batch,
               options.no_improvement);
  if (options.mini_batch == 0 && options.no_improvement != KmeansOptions().no_improvement)
    fail_usage("no improvement {}: goes with mini-batches", options.no_improvement);
  if (options.mini_batch > 0 && options.engine == "faiss")
    fail_usage("mini-batch {}: FAISS makes its iterations itself; use another engine", options.mini_batch);
  resolve_kmeans_engine(options.engine, options.device);
}

KmeansResult run_kmeans(const FrameSource& source, const KmeansOptions& options, const Processes& processes) {
  check_kmeans_options(options);
  check_source(source, options);
  require_device(options.device);  // before the starting centroids are searched for
  KmeansOptions resolved = options;
  resolved.engine = resolve_kmeans_engine(options.engine, options.device);
  resolved.threads = options.threads > 0 ? options.threads : default_threads(processes);
  if (resolved.engine == "faiss" && !processes.alone())
    fail_usage("engine faiss: runs in one process; use another engine");
  if (resolved.mini_batch > 0) resolved.exhaustive = true;  // one pass over all frames has no use for bounds
  const int64_t wanted = training_frames(source.frames(), resolved);
  if (wanted == source.frames()) return cluster_all(source, resolved, processes);
  log_info("kmeans", "training on {} of {} frames", wanted, source.frames());
  return cluster_sample(source, wanted, resolved, processes);
}

std::unique_ptr<FrameSource> select_training_frames(const FrameSource& source, const KmeansOptions& options) {
  check_source(source, options);
  const int64_t wanted = training_frames(source.frames(), options);
  if (wanted == source.frames()) return std::make_unique<RangeOfFrames>(source, 0, wanted);
  return std::make_unique<PickedFrames>(source, sample_training_rows(source.frames(), wanted, options.seed));
}

int64_t training_frames(int64_t frames, const KmeansOptions& options) {
  if (options.points_per_centroid == 0) return frames;
  return std::min(frames, options.points_per_centroid * options.clusters);
}

}  // namespace retort
