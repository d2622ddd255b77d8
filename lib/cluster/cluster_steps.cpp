#include "cluster/cluster_steps.h"

#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "base/log.h"
#include "base/shard.h"
#include "kmeans/frame_sources.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/lloyd.h"
#include "kmeans/partial_clusters.h"
#include "nearest/centred_centroids.h"
#include "store/npy.h"

namespace retort {
namespace {

constexpr const char* format_name = "retort-passes-1";

// What lies in OUTPUT/passes/: state.json, the centroids that it names, and the parts of that pass.
class PassFolder {
 public:
  explicit PassFolder(const std::filesystem::path& output) : folder_(output / "passes") {}

  bool begun() const { return std::filesystem::exists(state_file()); }

  // The state between two passes.
  void write(const Json& job, int pass, const FeatureNorm& norm, const std::vector<float>& reference,
             const Lloyd& lloyd) const {
    write_npy_matrix(centroid_file(pass), lloyd.centroids());
    write_json(state_file(), {{"format", format_name},
                              {"job", job},
                              {"pass", pass},
                              {"normalisation", norm.to_json()},
                              {"reference", reference},
                              {"lloyd", lloyd.to_json()}});
    remove_before(pass);
  }

  // What lies there of earlier passes goes: nobody reads it any more.
  void remove_before(int pass) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("pass-") && name < prefix(pass)) std::filesystem::remove(entry.path());
    }
  }

  Json read(const Json& job) const {
    const std::string where = state_file().string();
    const Json state = read_json(state_file());
    if (json_get<std::string>(state, "format", where) != format_name)
      fail("{}: is of another version of this program; remove the folder", where);
    const std::string difference = first_difference(json_get<Json>(state, "job", where), job);
    if (!difference.empty())
      fail("{}: was begun otherwise ({} now); give the same options, or remove the folder", where,
           difference);
    return state;
  }

  std::string state_name() const { return state_file().string(); }
  std::filesystem::path centroid_file(int pass) const { return folder_ / (prefix(pass) + "centroids.npy"); }
  std::filesystem::path part_file(int pass, const Shard& shard) const {
    return folder_ / (prefix(pass) + shard.stem() + ".bin");
  }

  // The shards whose parts of this pass are there.
  std::vector<Shard> parts(int pass) const {
    std::vector<Shard> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      Shard shard;
      const std::string name = entry.path().filename().string();
      const std::string form = prefix(pass) + "part-%d-of-%d.bin";
      if (std::sscanf(name.c_str(), form.c_str(), &shard.index, &shard.count) == 2 &&
          entry.path() == part_file(pass, shard))
        found.push_back(shard);
    }
    return found;
  }

  void remove() const { std::filesystem::remove_all(folder_); }

 private:
  static std::string prefix(int pass) { return fmt::format("pass-{:04d}-", pass); }
  std::filesystem::path state_file() const { return folder_ / "state.json"; }

  std::filesystem::path folder_;
};

// Where the job stands.
struct Standing {
  int pass;
  FeatureNorm norm;
  std::vector<float> reference;  // as ClusterSums
  Lloyd lloyd;
};

Standing read_standing(const ClusterOptions& options, const PassFolder& folder, const Json& job) {
  const Json state = folder.read(job);
  const std::string where = folder.state_name();
  const int pass = json_get<int>(state, "pass", where);
  Lloyd lloyd(options.kmeans, read_npy_matrix(folder.centroid_file(pass)));
  lloyd.set_from_json(json_get<Json>(state, "lloyd", where), where);
  return {pass, FeatureNorm::from_json(json_get<Json>(state, "normalisation", where), where),
          json_get<std::vector<float>>(state, "reference", where), std::move(lloyd)};
}

// What a part follows from, besides the frames' values.
Json about_part(const Json& job, int pass, const Shard& shard) {
  return {{"job", job}, {"pass", pass}, {"shard", fmt::format("{}/{}", shard.index, shard.count)}};
}

Json progress_of(const char* step, int pass, const Lloyd& lloyd) {
  return {{"step", step}, {"pass", pass}, {"iterations_left", lloyd.iterating()}, {"done", false}};
}

Json assign_step(const ClusterOptions& options, const FrameSource& source, const PassFolder& folder,
                 const Json& job) {
  if (!folder.begun()) fail("{}: holds no centroids yet; run --step update first", options.output);
  const Shard shard = parse_shard(options.shard);
  const Standing standing = read_standing(options, folder, job);
  const std::filesystem::path file = folder.part_file(standing.pass, shard);
  const Json about = about_part(job, standing.pass, shard);
  if (std::filesystem::exists(file)) {
    PartialClusters(options.kmeans.clusters, standing.reference).read(file, about);
    log_info("cluster", "{} is there already: nothing to do", file.string());
  } else {
    const NormalisedFrames normalised(source, standing.norm);
    const auto frames = select_training_frames(normalised, options.kmeans);
    assign_shard(*frames, options.kmeans, standing.lloyd.centroids(), standing.reference, shard)
        .write(file, about);
  }
  return progress_of("assign", standing.pass, standing.lloyd);
}

Json begin(const ClusterOptions& options, const FrameSource& source, const PassFolder& folder,
           const Input& input, const Json& job) {
  const Start start = start_of(options, source, input);
  const NormalisedFrames normalised(source, start.norm);
  const auto frames = select_training_frames(normalised, start.kmeans);
  const Lloyd lloyd(options.kmeans, initial_centroids(*frames, start.kmeans));
  folder.write(job, 0, start.norm, CentredCentroids(lloyd.centroids()).mean, lloyd);
  return progress_of("update", 0, lloyd);
}

// All shards' parts of a pass put together; nothing while some are missing.
std::optional<Clusters> gather(const ClusterOptions& options, const PassFolder& folder, const Json& job,
                               const Standing& standing) {
  const std::vector<Shard> parts = folder.parts(standing.pass);
  std::set<int> missing;
  for (const Shard& part : parts) {
    if (part.count != parts.front().count)
      fail("{}: pass {} has parts of {} and of {} shards; remove those of one", folder.state_name(),
           standing.pass, part.count, parts.front().count);
    for (int i = 0; missing.empty() && i < part.count; ++i) missing.insert(i);
  }
  for (const Shard& part : parts) missing.erase(part.index);
  if (parts.empty() || !missing.empty()) {
    log_info("cluster", "pass {} waits for {}", standing.pass,
             parts.empty() ? "its parts (--step assign)" : fmt::format("parts {}", fmt::join(missing, " ")));
    return {};
  }
  PartialClusters all(options.kmeans.clusters, standing.reference);
  for (int i = 0; i < parts.front().count; ++i) {
    const Shard shard{i, parts.front().count};
    PartialClusters part(options.kmeans.clusters, standing.reference);
    part.read(folder.part_file(standing.pass, shard), about_part(job, standing.pass, shard));
    all.merge(part);
  }
  return all.about(standing.lloyd.centroids());
}

Json update_step(const ClusterOptions& options, const FrameSource& source, const PassFolder& folder,
                 const Input& input, const Json& job) {
  if (!folder.begun()) return begin(options, source, folder, input, job);
  Standing standing = read_standing(options, folder, job);
  const std::optional<Clusters> clusters = gather(options, folder, job, standing);
  if (!clusters) {
    folder.remove_before(standing.pass);  // which an update that was stopped may have left
    return progress_of("update", standing.pass, standing.lloyd);
  }
  const NormalisedFrames normalised(source, standing.norm);
  standing.lloyd.take(*clusters, *select_training_frames(normalised, options.kmeans));
  if (!standing.lloyd.done()) {
    folder.write(job, standing.pass + 1, standing.norm, standing.reference, standing.lloyd);
    return progress_of("update", standing.pass + 1, standing.lloyd);
  }
  KmeansResult result = standing.lloyd.result();
  result.engine = resolve_kmeans_engine(options.kmeans.engine, options.kmeans.device);
  result.starts = {result.inertia};
  Json report = write_result(options, input, standing.norm, result, job);
  remove_passes(options.output);
  return report;
}

}  // namespace

void check_step_options(const ClusterOptions& options) {
  if (options.step.empty()) {
    if (options.shard != ClusterOptions().shard)
      fail_usage("--shard {}: goes with --step assign", options.shard);
    return;
  }
  if (options.step != "update" && options.step != "assign")
    fail_usage("--step {}: should be update or assign", options.step);
  if (options.kmeans.starts > 1) fail_usage("--step: works on one start; give --starts 1");
  if (options.kmeans.mini_batch > 0)
    fail_usage("--step: a mini-batch is too little work to share; leave out --step or --mini-batch");
  if (!options.alignments.empty())
    fail_usage(
        "--step: keeps no labels to score by --alignments; use retort-label and retort-evaluate units");
  if (options.kmeans.engine == "faiss")
    fail_usage("--step: FAISS makes its iterations itself; use another engine");
}

void remove_passes(const std::string& output) {
  PassFolder(output).remove();
}

Json run_cluster_step(const ClusterOptions& options, const FrameSource& source, const Input& input,
                      const Json& job) {
  const PassFolder folder(options.output);
  return options.step == "assign" ? assign_step(options, source, folder, job)
                                  : update_step(options, source, folder, input, job);
}

}  // namespace retort
