// What passes over parts of the frames learnt, on disk and put together (docs/formats.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/shard.h"
#include "kmeans/cluster_sums.h"
#include "kmeans/kmeans.h"

namespace retort {

// One or more shards' sums, from which the clusters follow as if one pass had gone over all of their frames.
class PartialClusters {
 public:
  // Of no frames yet. `reference` as ClusterSums has it, the same for all parts.
  PartialClusters(int64_t clusters, const std::vector<float>& reference);
  // Of the frames [first, ...) that `found` and its sums are about.
  PartialClusters(const ClusterSums& sums, const Clusters& found, int64_t first);

  // Adds the part of the frames that come next.
  void merge(const PartialClusters& later);
  Clusters about(const Matrix& centroids) const;

  // Writes one file, atomically; `about` says what it is of and is compared when it is read.
  void write(const std::filesystem::path& path, const Json& about) const;
  // Reads a part of as many clusters and dimensions into this one, which is empty. Refuses a file that is cut
  // short, altered, or about something else.
  void read(const std::filesystem::path& path, const Json& about);

 private:
  ClusterSums sums_;
  std::vector<int64_t> farthest_;  // as Clusters
  std::vector<double> farthest_distance_;
};

// Assigns the shard's frames of `source` to `centroids`, as one process would all of them. `options.engine`
// may be auto.
PartialClusters assign_shard(const FrameSource& source, const KmeansOptions& options, const Matrix& centroids,
                             const std::vector<float>& reference, const Shard& shard);

}  // namespace retort
