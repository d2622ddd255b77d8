#include "kmeans/partial_clusters.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/threads.h"
#include "kmeans/frame_memory.h"
#include "kmeans/frame_sources.h"
#include "kmeans/passes.h"

namespace retort {
namespace {

constexpr const char* format_name = "retort-clusters-1";

}  // namespace

PartialClusters::PartialClusters(int64_t clusters, const std::vector<float>& reference)
    : sums_(clusters, reference),
      farthest_(static_cast<size_t>(clusters)),
      farthest_distance_(static_cast<size_t>(clusters)) {}

PartialClusters::PartialClusters(const ClusterSums& sums, const Clusters& found, int64_t first)
    : sums_(sums), farthest_(found.farthest), farthest_distance_(found.farthest_distance) {
  for (int64_t& row : farthest_) row += first;
}

// A cluster that is empty in the whole is so in each part, so that every part has looked for the farthest
// frames where they are asked for. Of frames as far the first counts.
void PartialClusters::merge(const PartialClusters& later) {
  sums_.merge(later.sums_);
  for (size_t k = 0; k < farthest_.size(); ++k) {
    if (later.farthest_distance_[k] <= farthest_distance_[k]) continue;
    farthest_distance_[k] = later.farthest_distance_[k];
    farthest_[k] = later.farthest_[k];
  }
}

Clusters PartialClusters::about(const Matrix& centroids) const {
  Clusters clusters = sums_.about(centroids);
  clusters.farthest = farthest_;
  clusters.farthest_distance = farthest_distance_;
  return clusters;
}

void PartialClusters::write(const std::filesystem::path& path, const Json& about) const {
  std::string bytes;
  append_values(farthest_, bytes);
  append_values(farthest_distance_, bytes);
  sums_.append_to(bytes);
  const Json header = {
      {"format", format_name}, {"about", about}, {"hash", hash_bytes(bytes.data(), bytes.size())}};
  AtomicFile file(path);
  file.write(header.dump() + "\n");
  file.write(bytes);
  file.commit();
}

void PartialClusters::read(const std::filesystem::path& path, const Json& about) {
  const std::string where = path.string();
  const std::string content = read_file(path);
  const std::size_t end = content.find('\n');
  if (end == std::string::npos) fail("{}: is no file of partial clusters", where);
  const Json header = parse_json(std::string_view(content).substr(0, end), where);
  if (json_get<std::string>(header, "format", where) != format_name)
    fail("{}: is no file of partial clusters of this version", where);
  const std::string difference = first_difference(json_get<Json>(header, "about", where), about);
  if (!difference.empty()) fail("{}: is of another job ({} now); remove it", where, difference);
  std::string_view bytes = std::string_view(content).substr(end + 1);
  if (hash_bytes(bytes.data(), bytes.size()) != json_get<std::string>(header, "hash", where))
    fail("{}: is not what was written; remove it and run the step again", where);
  take_values(bytes, where, farthest_);
  take_values(bytes, where, farthest_distance_);
  sums_.read(bytes, where);
  if (!bytes.empty()) fail("{}: is of more clusters or dimensions", where);
}

PartialClusters assign_shard(const FrameSource& source, const KmeansOptions& options, const Matrix& centroids,
                             const std::vector<float>& reference, const Shard& shard) {
  KmeansOptions resolved = options;
  resolved.engine = resolve_kmeans_engine(options.engine, options.device);
  resolved.threads = options.threads > 0 ? options.threads : available_threads();
  resolved.exhaustive = true;  // bounds pay from the second pass on, and this one is alone
  const int64_t first = source.frames() * shard.index / shard.count;
  const int64_t count = source.frames() * (shard.index + 1) / shard.count - first;
  if (count == 0) return {centroids.rows(), reference};
  const RangeOfFrames part(source, first, count);
  const auto frames = fit_in_memory(part, resolved);
  Progress progress("assign", "frames", static_cast<double>(count));
  Passes passes(*frames, resolved, reference);
  const Clusters clusters = passes.run(centroids, progress);
  return {passes.sums(), clusters, first};
}

}  // namespace retort
