#include "cluster/cluster.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <unordered_set>

#include "base/bad_items.h"
#include "base/hash.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "kmeans/frame_sources.h"
#include "store/codebook.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

// What is to be clustered, wherever it comes from.
struct Input {
  FrameOrigin origin;
  std::string frames;  // identity of plain arrays and tables, which have no origin
};

bool starts_from_codebook(const ClusterOptions& options) {
  return is_codebook(options.kmeans.init);
}

std::string name_of_start(const ClusterOptions& options) {
  const std::string& init = options.kmeans.init;
  if (starts_from_codebook(options)) return "codebook " + read_codebook(init).hash();
  return init.ends_with(".npy") ? "file " + hash_file(init) : init;
}

// What the centroids follow from: the same job gives the same codebook, byte for byte.
Json job_of(const ClusterOptions& options, const Input& input) {
  const KmeansOptions& kmeans = options.kmeans;
  Json job = {{"clusters", kmeans.clusters},
              {"iterations", kmeans.iterations},
              {"tolerance", kmeans.tolerance},
              {"init", name_of_start(options)},
              {"starts", kmeans.starts},
              {"normalise", options.normalise},
              {"engine", resolve_kmeans_engine(kmeans.engine, kmeans.device)},
              {"points_per_centroid", kmeans.points_per_centroid},
              {"seed", kmeans.seed},
              {"origin", input.origin.to_json()}};
  if (!input.frames.empty()) job["frames_hash"] = input.frames;
  return job;
}

// True if the codebook is there and came from this job.
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

Json cluster_and_write(const ClusterOptions& options, const FrameSource& source, const Input& input,
                       const Json& job) {
  KmeansOptions kmeans = options.kmeans;
  FeatureNorm norm;
  if (starts_from_codebook(options)) {
    norm = read_start(options, source, input).norm;
    kmeans.init = (std::filesystem::path(kmeans.init) / "centroids.npy").string();
  } else {
    norm = measure_norm(source, options.normalise);
  }
  const NormalisedFrames frames(source, norm);
  const KmeansResult result = run_kmeans(frames, kmeans);
  Codebook codebook{result.centroids, input.origin, norm, report_of(result, job)};
  write_codebook(options.output, codebook);
  Json report = codebook.report;
  report.erase("sizes");
  report["hash"] = codebook.hash();
  report["seconds"] = result.seconds;
  report["bytes_read"] = source.bytes_read();
  return report;
}

// What a rerun prints: the codebook's own report.
Json report_on_disk(const std::string& folder) {
  Json report = read_json(std::filesystem::path(folder) / "codebook.json");
  report.erase("sizes");
  return report;
}

// A table can be read once from its beginning to its end, so all of its frames are held.
Json cluster_table(const ClusterOptions& options) {
  const std::string& rspecifier = options.inputs.front();
  FrameTable table(rspecifier);
  if (table.kind() != StoreKind::features) fail("{}: holds labels, features were expected", rspecifier);
  if (table.dim() == 0) fail("{}: holds no frames", rspecifier);
  GatheredFrames frames(table.dim());
  Hasher hasher;
  while (const std::optional<TableUtterance> utterance = table.next()) {
    hasher.add(fmt::format("{}\n{}\n", utterance->id, utterance->frames.rows()));
    hasher.add(utterance->frames.data(), utterance->frames.values().size_bytes());
    frames.add(utterance->id, utterance->frames);
  }
  log_info("cluster", "{} frames of {} values read from {}", frames.frames(), frames.dim(), rspecifier);
  Input input{{}, hasher.hex()};
  input.origin.hop = 0;
  const Json job = job_of(options, input);
  return is_done(options, job) ? report_on_disk(options.output)
                               : cluster_and_write(options, frames, input, job);
}

Json cluster_store(const ClusterOptions& options) {
  refuse_encoder_options(options.encoder);
  if (options.inputs.size() != 1)
    fail_usage("INPUT: one frame store, .npy or Kaldi table, or --model with audio");
  if (is_table(options.inputs.front())) return cluster_table(options);
  const std::filesystem::path path = options.inputs.front();
  const bool array = path.extension() == ".npy";
  const FrameStore store = array ? FrameStore::open_npy(path) : FrameStore::open(path);
  const StoreFrames source(store);
  const Input input{store.info().origin, array ? store.hash() : ""};
  const Json job = job_of(options, input);
  return is_done(options, job) ? report_on_disk(options.output)
                               : cluster_and_write(options, source, input, job);
}

Json cluster_audio(const ClusterOptions& options) {
  EncoderOptions encoder_options = options.encoder;
  encoder_options.device = is_feature_name(encoder_options.model) ? "cpu" : options.kmeans.device;
  encoder_options.threads = options.kmeans.threads;
  const Corpus corpus = read_corpus_input(options.inputs);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  if (encoder->outputs().size() != 1)
    fail_usage("--layer {}: one layer makes one codebook", options.encoder.layers);
  Input input{encoder->origin(0), ""};
  input.origin.corpus = corpus.hash();
  const Json job = job_of(options, input);
  if (is_done(options, job)) return report_on_disk(options.output);

  GatheredFrames frames(encoder->outputs().front().dim);
  BadItems bad("cluster", options.max_bad);
  for_each_encoded(
      corpus, {0, corpus.size()}, *encoder, encoder_options.threads, "encode", bad,
      [&](EncodedUtterance utterance) { frames.add(utterance.utterance->id, utterance.outputs.front()); });
  bad.judge(corpus.size());
  return cluster_and_write(options, frames, input, job);
}

}  // namespace

Json run_cluster(const ClusterOptions& options) {
  if (options.normalise != "none" && options.normalise != "l2" && options.normalise != "meanvar")
    fail_usage("normalise {}: should be none, l2 or meanvar", options.normalise);
  KmeansOptions kmeans = options.kmeans;
  if (starts_from_codebook(options)) kmeans.init += "/centroids.npy";
  check_kmeans_options(kmeans);
  return options.encoder.model.empty() ? cluster_store(options) : cluster_audio(options);
}

}  // namespace retort
