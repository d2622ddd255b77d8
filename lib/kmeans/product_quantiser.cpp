#include "kmeans/product_quantiser.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"

namespace retort {

void ColumnsOfFrames::read_rows(int64_t first, int64_t count, float* out) const {
  // Few rows at a time, which stay in the cache between the two copies.
  constexpr int64_t piece = 64;
  const int64_t dim = source_.dim();
  std::vector<float> copy;
  for (int64_t done = 0; done < count; done += piece) {
    const int64_t here = std::min(piece, count - done);
    const float* rows = source_.rows_in_place(first + done, here);
    if (!rows) {
      copy.resize(static_cast<size_t>(here * dim));
      source_.read_rows(first + done, here, copy.data());
      rows = copy.data();
    }
    for (int64_t i = 0; i < here; ++i)
      std::copy_n(rows + i * dim + first_, count_, out + (done + i) * count_);
  }
}

void check_product_options(const KmeansOptions& options, int64_t subspaces, int64_t dim) {
  if (subspaces < 1 || dim % subspaces != 0)
    fail_usage("{} subspaces: frames of {} values cannot be cut into as many equal pieces", subspaces, dim);
  if (options.clusters > ProductCodebook::most_clusters)
    fail_usage("{} clusters: a code of a product codebook is a byte; give 1 to {}", options.clusters,
               ProductCodebook::most_clusters);
  if (!is_way_to_start(options.init))
    fail_usage("init {}: subspaces start by random, kmeans++ or kmeans-parallel", options.init);
}

ProductResult train_product_codebook(const FrameSource& source, const KmeansOptions& options,
                                     int64_t subspaces, const Processes& processes) {
  check_product_options(options, subspaces, source.dim());
  const int64_t width = source.dim() / subspaces;
  Matrix centroids(subspaces * options.clusters, width);
  std::vector<KmeansResult> results;
  double inertia = 0;
  for (int64_t m = 0; m < subspaces; ++m) {
    KmeansOptions own = options;
    own.seed = mix_seed({options.seed, static_cast<uint64_t>(m)});
    KmeansResult result = run_kmeans(ColumnsOfFrames(source, m * width, width), own, processes);
    std::copy(result.centroids.values().begin(), result.centroids.values().end(),
              centroids.row(m * options.clusters).data());
    log_info("kmeans", "subspace {} of {}: {:.6g} mean squared distance", m + 1, subspaces, result.inertia);
    inertia += result.inertia;
    result.centroids = Matrix();
    result.labels = {};
    results.push_back(std::move(result));
  }
  return {ProductCodebook(std::move(centroids), subspaces), std::move(results), inertia};
}

}  // namespace retort
