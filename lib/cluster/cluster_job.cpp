#include "cluster/cluster_job.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <unordered_set>

#include "base/disk.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "base/stopwatch.h"
#include "kmeans/frame_sources.h"

namespace retort {
namespace {

bool starts_from_codebook(const ClusterOptions& options) {
  return !is_way_to_start(options.kmeans.init) && is_codebook(options.kmeans.init);
}

std::string name_of_start(const ClusterOptions& options) {
  const std::string& init = options.kmeans.init;
  if (starts_from_codebook(options)) return "codebook " + read_codebook(init).hash();
  return init.ends_with(".npy") ? "file " + hash_file(init) : init;
}

double usage_perplexity(const std::vector<int64_t>& sizes) {
  const auto total = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  double entropy = 0;
  for (const int64_t size : sizes)
    if (size > 0) entropy -= static_cast<double>(size) / total * std::log(static_cast<double>(size) / total);
  return std::exp(entropy);
}

// Centroids that equal an earlier one: labels never name them.
int64_t duplicates_of(const Matrix& centroids) {
  std::unordered_set<std::string> seen;
  int64_t duplicates = 0;
  for (int64_t k = 0; k < centroids.rows(); ++k)
    duplicates += !seen.insert(hash_bytes(centroids.row(k).data(), centroids.row(k).size_bytes())).second;
  return duplicates;
}

Json report_of(const KmeansResult& result, const Json& job) {
  const auto [smallest, largest] = std::minmax_element(result.sizes.begin(), result.sizes.end());
  const auto frames = static_cast<double>(result.frames);
  return {{"job", job},
          {"engine", result.engine},
          {"frames", result.frames},
          {"inertia", result.inertia},
          {"curve", result.curve},
          {"starts", result.starts},
          {"splits", result.splits},
          {"empty", std::count(result.sizes.begin(), result.sizes.end(), 0)},
          {"duplicates", duplicates_of(result.centroids)},
          {"smallest_share", static_cast<double>(*smallest) / frames},
          {"largest_share", static_cast<double>(*largest) / frames},
          {"usage_perplexity", usage_perplexity(result.sizes)},
          {"sizes", result.sizes}};
}

// The codebook to start from, which must be of such frames, normalised in the same way.
Codebook read_start(const ClusterOptions& options, const FrameSource& source, const Input& input) {
  Codebook start = read_codebook(options.kmeans.init);
  require_same_features(start, input.origin, source.dim());
  if (start.norm.kind != options.normalise)
    fail("--normalise {}: the codebook {} was made with {}; use the same for both", options.normalise,
         options.kmeans.init, start.norm.kind);
  return start;
}

// How many passes over all frames the choice of the first centroids is worth.
double passes_to_start(const KmeansOptions& options, int64_t frames) {
  if (options.init == "kmeans-parallel") return 6;
  if (options.init != "kmeans++") return 0;
  const int64_t per_cluster = options.init_points_per_centroid < 0 ? 32 : options.init_points_per_centroid;
  if (per_cluster == 0) return 1;
  return std::min(1.0, static_cast<double>(per_cluster * options.clusters) / static_cast<double>(frames));
}

// To find the nearest centroid, measured on made frames.
double seconds_per_frame(const KmeansOptions& options, int64_t dim) {
  constexpr int64_t sample = 1 << 13;
  Random random(1);
  const auto made = [&](int64_t rows) {
    Matrix matrix(rows, dim);
    for (int64_t i = 0; i < rows; ++i)
      for (float& value : matrix.row(i)) value = static_cast<float>(random.uniform() - 0.5);
    return matrix;
  };
  const Matrix frames = made(sample);
  const std::unique_ptr<Assigner> assigner =
      make_assigner(made(options.clusters), "auto", options.device, options.threads);
  std::vector<int32_t> labels(static_cast<std::size_t>(sample));
  const auto assign = [&] { assigner->assign(frames.data(), sample, labels.data(), nullptr); };
  assign();
  Stopwatch watch;
  assign();
  return watch.lap() / static_cast<double>(sample);
}

}  // namespace

Json job_of(const ClusterOptions& options, const Input& input) {
  const KmeansOptions& kmeans = options.kmeans;
  Json job = {{"clusters", kmeans.clusters},
              {"iterations", kmeans.iterations},
              {"tolerance", kmeans.tolerance},
              {"init", name_of_start(options)},
              {"init_points_per_centroid", kmeans.init_points_per_centroid},
              {"starts", kmeans.starts},
              {"normalise", options.normalise},
              {"engine", resolve_kmeans_engine(kmeans.engine, kmeans.device)},
              {"points_per_centroid", kmeans.points_per_centroid},
              {"seed", kmeans.seed},
              {"origin", input.origin.to_json()}};
  if (kmeans.mini_batch > 0)
    job["mini_batch"] = {{"frames", kmeans.mini_batch}, {"no_improvement", kmeans.no_improvement}};
  if (!input.frames.empty()) job["frames_hash"] = input.frames;
  if (options.subspaces > 0) job["subspaces"] = options.subspaces;
  if (!options.alignments.empty()) job["alignments"] = hash_file(options.alignments);
  return job;
}

bool is_done(const ClusterOptions& options, const Json& job) {
  const std::filesystem::path json = std::filesystem::path(options.output) / "codebook.json";
  if (options.overwrite || !std::filesystem::exists(json)) return false;
  const Json made = json_get<Json>(read_json(json), "job", json.string());
  const std::string difference = first_difference(made, job);
  if (!difference.empty())
    fail("{}: was made otherwise ({} now); use --overwrite or another folder", options.output, difference);
  log_info("cluster", "{} is there already: nothing to do", options.output);
  return true;
}

KmeansOptions kmeans_options(const ClusterOptions& options) {
  KmeansOptions kmeans = options.kmeans;
  if (starts_from_codebook(options))
    kmeans.init = (std::filesystem::path(kmeans.init) / "centroids.npy").string();
  return kmeans;
}

Start start_of(const ClusterOptions& options, const FrameSource& source, const Input& input) {
  FeatureNorm norm = starts_from_codebook(options) ? read_start(options, source, input).norm
                                                   : measure_norm(source, options.normalise);
  return {std::move(norm), kmeans_options(options)};
}

Json write_result(const ClusterOptions& options, const Input& input, const FeatureNorm& norm,
                  const KmeansResult& result, const Json& job, const Json& phones) {
  Codebook codebook{result.centroids, input.origin, norm, report_of(result, job)};
  if (!result.mini_batches.is_null()) codebook.report["mini_batches"] = result.mini_batches;
  if (!phones.is_null()) codebook.report["phones"] = phones;
  write_codebook(options.output, codebook);
  Json report = codebook.report;
  report.erase("sizes");
  report["hash"] = codebook.hash();
  return report;
}

Json write_product_result(const ClusterOptions& options, const Input& input, const ProductResult& result,
                          const Json& job) {
  Json subspaces = Json::array();
  for (const KmeansResult& one : result.subspaces)
    subspaces.push_back({{"inertia", one.inertia},
                         {"iterations", one.curve.size()},
                         {"starts", one.starts},
                         {"splits", one.splits},
                         {"empty", std::count(one.sizes.begin(), one.sizes.end(), 0)},
                         {"usage_perplexity", usage_perplexity(one.sizes)}});
  const StoredProductCodebook stored{std::make_shared<const ProductCodebook>(result.codebook),
                                     input.origin,
                                     {{"job", job},
                                      {"engine", result.subspaces.front().engine},
                                      {"frames", result.subspaces.front().frames},
                                      {"inertia", result.inertia},
                                      {"parts", subspaces}}};
  write_product_codebook(options.output, stored);
  Json report = stored.report;
  report["hash"] = result.codebook.hash();
  return report;
}

Json dry_run_report(const ClusterOptions& options, int64_t frames, int64_t dim, double other_seconds) {
  const KmeansOptions& kmeans = options.kmeans;
  const double passes = kmeans.starts * (kmeans.iterations + passes_to_start(kmeans, frames)) + 1;
  const double seconds = passes * static_cast<double>(frames) * seconds_per_frame(kmeans, dim);
  const auto values = static_cast<int64_t>(sizeof(float)) * dim;
  return {{"frames", frames},
          {"dim", dim},
          {"clusters", kmeans.clusters},
          {"passes", passes},
          {"files", 2},
          {"bytes", kmeans.clusters * values},
          {"memory_for_frames", frames * values},
          {"free_bytes", free_disk_bytes(options.output)},
          {"estimated_seconds", other_seconds + seconds}};
}

Json report_on_disk(const std::string& folder) {
  Json report = read_json(std::filesystem::path(folder) / "codebook.json");
  report.erase("sizes");
  return report;
}

}  // namespace retort
