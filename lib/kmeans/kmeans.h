// K-means over any source of frames, by one of several engines.
//
// Whatever the engine, a frame's label is the one that nearest/assigner.h defines: an engine only finds it
// fast, and says where it is not sure (nearest_search.h). Labels therefore depend neither on the engine nor
// on threads, batches or shards, and the engines that share Retort's own Lloyd loop (all but faiss) give the
// same centroids.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"
#include "nearest/assigner.h"
#include "processes/processes.h"
#include "store/frame_source.h"

namespace retort {

struct KmeansOptions {
  int64_t clusters = 500;  // K, 1 .. 65536
  int iterations = 25;     // at most; fewer when an iteration moves no centroid
  double tolerance = 0;    // stop when an iteration lowers the objective by no more than this share of it
  int64_t mini_batch = 0;  // frames of a mini-batch (mini_batch.h), in place of iterations over all; 0: none
  int no_improvement = 100;       // mini-batches without a lower objective after which to stop; 0: go on
  int starts = 1;                 // from different seeds; the one that ends at the least inertia is kept
  std::string init = "kmeans++";  // random, kmeans++, kmeans-parallel, or a (K, dim) .npy to start from
  // Frames per cluster that kmeans++ and kmeans-parallel look at, sampled without replacement; 0: all frames;
  // -1: 32 for kmeans++, which holds them, all for kmeans-parallel.
  int64_t init_points_per_centroid = -1;
  std::string engine =
      "auto";  // native, cuda, torch, faiss, or auto (native on the CPU, cuda or else torch on CUDA)
  std::string device = "cpu";  // cpu, or cuda, cuda:i (engines cuda and torch)
  bool exhaustive = false;     // native: score every centroid in every pass, by no bounds; same labels
  int64_t points_per_centroid =
      0;  // frames to train on per cluster, sampled without replacement; 0: all frames
  uint64_t seed = 0;
  int threads = 0;         // 0: all
  int64_t memory = 0;      // bytes that the process should stay within; 0: no limit
  int64_t gpu_memory = 0;  // cuda: bytes of the GPU's memory that the job may take; 0: what is free
};

struct KmeansResult {
  Matrix centroids;  // (K, dim)
  // Of the frames trained on, in the last assignment; where several processes share them of this one's, which
  // begin at frame `first_label`.
  std::vector<int32_t> labels;
  int64_t first_label = 0;
  std::vector<int64_t> sizes;  // frames per cluster in it
  std::vector<double> curve;  // mean squared distance to the nearest centroid, before each iteration's update
  double inertia = 0;         // the same for the final centroids
  Json mini_batches;          // how many were made, and why no more; null where there were none
  int splits = 0;             // empty clusters refilled over all iterations
  std::string engine;         // which one ran
  std::vector<double> starts;     // the inertia that each start reached
  int64_t frames = 0;             // trained on
  Json seconds = Json::object();  // wall time by phase: init, iterations, final; of all starts together
};

// Whether `init` names a way to choose centroids, rather than a file.
bool is_way_to_start(const std::string& init);

// Throws a usage Error for options that no data could satisfy; run_kmeans does so too.
void check_kmeans_options(const KmeansOptions& options);

// The engine that `engine` ("auto" too) means on this device in this build: "native", "cuda", "torch" or
// "faiss".
std::string resolve_kmeans_engine(const std::string& engine, const std::string& device);

// Deterministic: the same frames, options and engine give the same centroids, whatever the sharding of the
// source. Frames that are not finite, and K above the number of distinct frames, are Errors.
// Several processes that have the same source share the work, and get the same result but for labels.
KmeansResult run_kmeans(const FrameSource& source, const KmeansOptions& options,
                        const Processes& processes = Processes());

// How many of a source's frames the options train on.
int64_t training_frames(int64_t frames, const KmeansOptions& options);

// The frames that run_kmeans would train on, read where they are. `source` must outlive it.
std::unique_ptr<FrameSource> select_training_frames(const FrameSource& source, const KmeansOptions& options);

// `engine` as in KmeansOptions; faiss has no search of its own here and means auto.
std::unique_ptr<Assigner> make_assigner(const Matrix& centroids, const std::string& engine,
                                        const std::string& device, int threads);

}  // namespace retort
