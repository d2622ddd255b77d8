#include "cluster/cluster.h"

#include <filesystem>
#include <optional>

#include "base/bad_items.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/progress.h"
#include "cluster/cluster_job.h"
#include "cluster/cluster_steps.h"
#include "cluster/phone_score.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "kernels/cpu_path.h"
#include "kmeans/frame_memory.h"
#include "kmeans/frame_sources.h"
#include "processes/processes.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

// Steps and processes that share the work each read the frames for themselves.
void refuse_several_readers(const ClusterOptions& options, const char* input) {
  if (!options.step.empty())
    fail_usage("--step: {} cannot be read by many processes; extract a frame store first", input);
  if (process_environment().count > 1)
    fail_usage("{} cannot be read by {} processes; extract a frame store first", input,
               process_environment().count);
}

// The processes that a launcher started for this job, on GPUs each on its own; a step is made by one.
Processes meet_others(ClusterOptions& options) {
  if (!options.step.empty()) return {};
  Processes processes(process_environment(), options.kmeans.device);
  if (!processes.alone() && options.kmeans.device == "cuda")
    options.kmeans.device = fmt::format("cuda:{}", processes.local_rank());
  if (!processes.leads()) set_progress_sink({});
  return processes;
}

// Ids and lengths of the audio behind the frames, at 16 kHz.
using AudioLengths = std::vector<std::pair<std::string, int64_t>>;

std::optional<PhoneScore> read_phones(const ClusterOptions& options, const Input& input,
                                      const AudioLengths& utterances) {
  if (options.alignments.empty()) return {};
  return PhoneScore(options.alignments, utterances, input.origin.hop);
}

// Frames without times cannot be held against alignments.
void refuse_alignments(const ClusterOptions& options, const char* input) {
  if (!options.alignments.empty())
    fail_usage(
        "--alignments: {} does not say how far apart its frames are; label it, and score with "
        "retort-evaluate units --hop",
        input);
}

Json seconds_of(const std::vector<KmeansResult>& results) {
  Json seconds = Json::object();
  for (const KmeansResult& result : results)
    for (const auto& [phase, value] : result.seconds.items())
      seconds[phase] = seconds.value(phase, 0.0) + value.get<double>();
  return seconds;
}

Json train_product_and_write(const ClusterOptions& options, const FrameSource& source, const Input& input,
                             const Json& job, const Processes& processes) {
  const ProductResult result = train_product_codebook(source, options.kmeans, options.subspaces, processes);
  if (!processes.leads()) return {};
  Json report = write_product_result(options, input, result, job);
  report["seconds"] = seconds_of(result.subspaces);
  return report;
}

Json cluster_and_write(const ClusterOptions& options, const FrameSource& source, const Input& input,
                       const Json& job, const std::optional<PhoneScore>& phones, const Processes& processes) {
  const Start start = start_of(options, source, input);
  const NormalisedFrames frames(source, start.norm);
  const KmeansResult result = run_kmeans(frames, start.kmeans, processes);
  const Json score =
      phones ? phones->of(*select_training_frames(source, start.kmeans), result, processes) : Json();
  if (!processes.leads()) return {};
  Json report = write_result(options, input, start.norm, result, job, score);
  report["seconds"] = result.seconds;
  return report;
}

// The codebook that is asked for, and a report with what only this run knows. Of several processes one writes
// and reports.
Json make_codebook(const ClusterOptions& options, const FrameSource& source, const Input& input,
                   const Json& job, const std::optional<PhoneScore>& phones = {},
                   const Processes& processes = Processes()) {
  Json report = options.subspaces > 0 ? train_product_and_write(options, source, input, job, processes)
                                      : cluster_and_write(options, source, input, job, phones, processes);
  std::vector<double> bytes_read{static_cast<double>(source.bytes_read())};
  processes.sum(bytes_read);
  if (!processes.leads()) return {};
  report["bytes_read"] = static_cast<int64_t>(bytes_read.front());
  report["processes"] = processes.count();
  if (report.at("engine") == "native") report["cpu"] = to_string(cpu_path());
  return report;
}

// A product codebook stands for the frames as they are, and its codes are no units.
void check_subspaces(const ClusterOptions& options) {
  if (options.subspaces == 0) return;
  if (!options.step.empty()) fail_usage("--subspaces: is not made in steps");
  if (options.normalise != "none")
    fail_usage("--subspaces: frames are stored as they are; leave out --normalise");
  if (!options.alignments.empty()) fail_usage("--subspaces: makes no units that --alignments could score");
}

// A table can be read once from its beginning to its end, so all of its frames are held.
Json cluster_table(const ClusterOptions& options) {
  const std::string& rspecifier = options.inputs.front();
  refuse_several_readers(options, "a table");
  refuse_alignments(options, "a table");
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
  return is_done(options, job) ? report_on_disk(options.output) : make_codebook(options, frames, input, job);
}

Json cluster_store(ClusterOptions options) {
  refuse_encoder_options(options.encoder);
  if (options.inputs.size() != 1)
    fail_usage("INPUT: one frame store, .npy or Kaldi table, or --model with audio");
  if (is_table(options.inputs.front())) return cluster_table(options);
  const std::filesystem::path path = options.inputs.front();
  const bool array = path.extension() == ".npy";
  if (array) refuse_alignments(options, "a .npy");
  const Processes processes = meet_others(options);
  const FrameStore store = array ? FrameStore::open_npy(path) : FrameStore::open(path);
  const StoreFrames source(store, options.kmeans.memory > 0);
  const Input input{store.info().origin, array ? store.hash() : ""};
  const Json job = job_of(options, input);
  if (is_done(options, job)) return processes.leads() ? report_on_disk(options.output) : Json();
  require_agreement(processes, job);
  if (!options.step.empty()) return run_cluster_step(options, source, input, job);
  AudioLengths utterances;
  for (const StoredUtterance& one : store.utterances()) utterances.emplace_back(one.id, one.samples);
  return make_codebook(options, source, input, job, read_phones(options, input, utterances), processes);
}

// No fewer than there will be.
int64_t expected_frames(const Corpus& corpus, int hop) {
  int64_t frames = 0;
  for (const Utterance& utterance : corpus.utterances()) frames += utterance.model_samples() / hop + 1;
  return frames;
}

Json cluster_audio(const ClusterOptions& options) {
  refuse_several_readers(options, "audio");
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
  AudioLengths utterances;
  for (const Utterance& one : corpus.utterances()) utterances.emplace_back(one.id, one.model_samples());
  const std::optional<PhoneScore> phones = read_phones(options, input, utterances);

  const int64_t dim = encoder->outputs().front().dim;
  if (options.subspaces > 0) check_product_options(options.kmeans, options.subspaces, dim);
  const int64_t expected = expected_frames(corpus, input.origin.hop);
  const int64_t wanted = training_frames(expected, options.kmeans);
  KmeansOptions resolved = options.kmeans;
  resolved.engine = resolve_kmeans_engine(resolved.engine, resolved.device);
  require_memory_for(wanted, dim, resolved);
  const auto encode = [&](auto& frames) {
    BadItems bad("cluster", options.max_bad);
    for_each_encoded(
        corpus, {0, corpus.size()}, *encoder, encoder_options.threads, "encode", bad,
        [&](EncodedUtterance utterance) { frames.add(utterance.utterance->id, utterance.outputs.front()); });
    bad.judge(corpus.size());
  };
  if (wanted == expected) {
    GatheredFrames frames(dim, expected);
    encode(frames);
    return make_codebook(options, frames, input, job, phones);
  }
  ReservoirFrames sample(dim, wanted, options.kmeans.seed);
  encode(sample);
  sample.finish();
  log_info("cluster", "training on {} of {} frames", sample.frames(), sample.frames_seen());
  return make_codebook(options, sample, input, job, phones);
}

}  // namespace

Json run_cluster(const ClusterOptions& options) {
  if (!is_feature_norm(options.normalise))
    fail_usage("normalise {}: should be none, l2 or meanvar", options.normalise);
  check_step_options(options);
  check_subspaces(options);
  check_kmeans_options(kmeans_options(options));
  return options.encoder.model.empty() ? cluster_store(options) : cluster_audio(options);
}

}  // namespace retort
