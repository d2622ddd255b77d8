#include "kmeans/faiss_lloyd.h"

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <omp.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/log.h"
#include "base/stopwatch.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/lloyd.h"

namespace retort {

KmeansResult run_faiss_lloyd(const FrameSource& source, const KmeansOptions& options, Matrix initial) {
  std::vector<int64_t> all(static_cast<std::size_t>(source.frames()));
  std::iota(all.begin(), all.end(), int64_t{0});
  const Matrix frames = gather_rows(source, all);

  faiss::ClusteringParameters parameters;
  parameters.niter = options.iterations;
  parameters.seed = static_cast<int>(options.seed & 0x7fffffff);
  parameters.verbose = false;
  parameters.min_points_per_centroid = 1;  // below its default FAISS writes a warning to the terminal
  parameters.max_points_per_centroid = static_cast<int>(
      std::min<int64_t>(frames.rows() / options.clusters + 1, std::numeric_limits<int>::max()));
  omp_set_num_threads(options.threads);

  std::vector<double> curve;
  int splits = 0;
  Stopwatch watch;
  try {
    faiss::Clustering clustering(static_cast<int>(source.dim()), static_cast<int>(options.clusters),
                                 parameters);
    clustering.centroids.assign(initial.data(), initial.data() + initial.values().size());
    faiss::IndexFlatL2 index(static_cast<faiss::Index::idx_t>(source.dim()));
    clustering.train(frames.rows(), frames.data(), index);
    std::copy(clustering.centroids.begin(), clustering.centroids.end(), initial.data());
    for (const faiss::ClusteringIterationStats& iteration : clustering.iteration_stats) {
      curve.push_back(static_cast<double>(iteration.obj) / static_cast<double>(frames.rows()));
      splits += iteration.nsplit;
      log_debug("kmeans", "faiss: {:.6g} mean squared distance, {} splits", curve.back(), iteration.nsplit);
    }
  } catch (const faiss::FaissException& error) {
    fail("FAISS: {}", error.what());
  }
  const double iteration_seconds = watch.lap();
  KmeansOptions last = options;
  last.iterations = 0;
  KmeansResult result = run_lloyd(source, last, Lloyd(last, std::move(initial)));
  result.curve = std::move(curve);
  result.splits += splits;
  result.seconds["iterations"] = iteration_seconds;
  return result;
}

}  // namespace retort
