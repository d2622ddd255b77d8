#include "cluster/cluster.h"

#include <filesystem>
#include <optional>

#include "base/bad_items.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/progress.h"
#include "cluster/cluster_job.h"
#include "cluster/cluster_labels.h"
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

// A step is made by one process, however many there are.
bool has_others(const ClusterOptions& options) {
  return options.step.empty() && process_environment().count > 1;
}

// The processes that a launcher started for this job, on GPUs each on its own.
Processes meet_others(ClusterOptions& options) {
  if (!has_others(options)) return {};
  Processes processes(process_environment(), options.kmeans.device);
  if (options.kmeans.device == "cuda") options.kmeans.device = fmt::format("cuda:{}", processes.local_rank());
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

// The codebook's report: of the one that is there, or of one that `make` makes.
template <class Make>
Json make_once(const ClusterOptions& options, const Input& input, const Json& job, const Make& make) {
  if (is_done(options, job)) {
    if (options.step == "update") remove_passes(options.output);  // one that was stopped may have left them
    return report_on_disk(options.output);
  }
  refuse_labels_before_codebook(options, input.origin);
  return make();
}

// A table can be read once from its beginning to its end, so all of its frames are held.
Json cluster_table(const ClusterOptions& options) {
  const std::string& rspecifier = options.inputs.front();
  refuse_several_readers(options, "a table");
  refuse_alignments(options, "a table");
  if (options.dry_run) fail_usage("--dry-run: a table's length is not known before it is read");
  FrameTable table(rspecifier);
  if (table.kind() != StoreKind::features) fail("{}: holds labels, features were expected", rspecifier);
  if (table.dim() == 0) fail("{}: holds no frames", rspecifier);
  GatheredFrames frames(table.dim());
  std::vector<StoredUtterance> utterances;
  Hasher hasher;
  while (const std::optional<TableUtterance> utterance = table.next()) {
    hasher.add(fmt::format("{}\n{}\n", utterance->id, utterance->frames.rows()));
    hasher.add(utterance->frames.data(), utterance->frames.values().size_bytes());
    utterances.push_back({utterance->id, frames.frames(), utterance->frames.rows(), 0, ""});
    frames.add(utterance->id, utterance->frames);
  }
  log_info("cluster", "{} frames of {} values read from {}", frames.frames(), frames.dim(), rspecifier);
  Input input{{}, hasher.hex()};
  input.origin.hop = 0;
  const Json job = job_of(options, input);
  const Json report =
      make_once(options, input, job, [&] { return make_codebook(options, frames, input, job); });
  label_source(options, input.origin, frames, utterances);
  return report;
}

Json cluster_store(ClusterOptions options) {
  const std::string& frames = stored_frames_input(options.encoder, options.inputs);
  if (is_table(frames)) return cluster_table(options);
  const std::filesystem::path path = frames;
  const bool array = path.extension() == ".npy";
  if (array) refuse_alignments(options, "a .npy");
  const Processes processes = meet_others(options);
  const FrameStore store = array ? FrameStore::open_npy(path) : FrameStore::open(path);
  const StoreFrames source(store, options.kmeans.memory > 0);
  const Input input{store.info().origin, array ? store.hash() : ""};
  const Json job = job_of(options, input);
  if (options.dry_run)
    return dry_run_report(options, training_frames(source.frames(), options.kmeans), source.dim(), 0);
  const Json report = make_once(options, input, job, [&] {
    require_agreement(processes, job);
    if (!options.step.empty()) return run_cluster_step(options, source, input, job);
    AudioLengths lengths;
    for (const StoredUtterance& one : store.utterances()) lengths.emplace_back(one.id, one.samples);
    return make_codebook(options, source, input, job, read_phones(options, input, lengths), processes);
  });
  label_source(options, input.origin, source, store.utterances());
  return processes.leads() ? report : Json();
}

// No fewer than there will be.
int64_t expected_frames(const Corpus& corpus, int hop) {
  int64_t frames = 0;
  for (const Utterance& utterance : corpus.utterances()) frames += utterance.model_samples() / hop + 1;
  return frames;
}

// Audio that is to be clustered, and what makes frames of it.
struct AudioInput {
  const Corpus& corpus;
  FrameEncoder& encoder;
  Input input;
  Json job;

  int64_t dim() const { return encoder.outputs().front().dim; }
};

// What one pass over the audio has seen besides the frames.
struct Encoded {
  std::vector<StoredUtterance> utterances;  // `start` counts frames
  Json bad;                                 // skipped utterances by reason
};

// Encodes the corpus into `frames`, which gathers them or draws a sample.
template <class Frames>
Encoded encode_into(Frames& frames, const ClusterOptions& options, const AudioInput& audio) {
  Encoded encoded;
  BadItems bad("cluster", options.max_bad);
  int64_t start = 0;
  for_each_encoded(audio.corpus, {0, audio.corpus.size()}, audio.encoder, options.kmeans.threads, "encode",
                   bad, [&](const EncodedUtterance& utterance) {
                     const std::string& id = utterance.utterance->id;
                     const Matrix& rows = utterance.outputs.front();
                     frames.add(id, rows);
                     encoded.utterances.push_back({id, start, rows.rows(), utterance.samples, ""});
                     start += rows.rows();
                   });
  bad.judge(audio.corpus.size());
  encoded.bad = bad.reasons();
  return encoded;
}

std::optional<PhoneScore> read_phones_of(const ClusterOptions& options, const AudioInput& audio) {
  AudioLengths lengths;
  for (const Utterance& one : audio.corpus.utterances()) lengths.emplace_back(one.id, one.model_samples());
  return read_phones(options, audio.input, lengths);
}

// All frames are held, so that their labels need no second encoding.
Json cluster_held_audio(const ClusterOptions& options, const AudioInput& audio, int64_t expected) {
  const std::optional<PhoneScore> phones = read_phones_of(options, audio);
  GatheredFrames frames(audio.dim(), expected);
  const Encoded encoded = encode_into(frames, options, audio);
  Json report = make_codebook(options, frames, audio.input, audio.job, phones);
  label_source(options, audio.input.origin, frames, encoded.utterances, encoded.bad);
  return report;
}

Json cluster_sampled_audio(const ClusterOptions& options, const AudioInput& audio, int64_t wanted) {
  const std::optional<PhoneScore> phones = read_phones_of(options, audio);
  ReservoirFrames sample(audio.dim(), wanted, options.kmeans.seed);
  encode_into(sample, options, audio);
  sample.finish();
  log_info("cluster", "training on {} of {} frames", sample.frames(), sample.frames_seen());
  return make_codebook(options, sample, audio.input, audio.job, phones);
}

EncoderOptions encoder_options_of(const ClusterOptions& options) {
  EncoderOptions encoder = options.encoder;
  encoder.device = is_feature_name(encoder.model) ? "cpu" : options.kmeans.device;
  encoder.threads = options.kmeans.threads;
  return encoder;
}

Json cluster_audio(const ClusterOptions& options) {
  refuse_several_readers(options, "audio");
  const EncoderOptions encoder_options = encoder_options_of(options);
  const Corpus corpus = read_corpus_input(options.inputs);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  if (encoder->outputs().size() != 1)
    fail_usage("--layer {}: one layer makes one codebook", options.encoder.layers);
  AudioInput audio{corpus, *encoder, {encoder->origin(0), ""}, {}};
  audio.input.origin.corpus = corpus.hash();
  audio.job = job_of(options, audio.input);

  if (options.dry_run)
    return dry_run_report(options,
                          training_frames(expected_frames(corpus, audio.input.origin.hop), options.kmeans),
                          audio.dim(), estimate_encoding_seconds(corpus, *encoder, encoder_options.threads));
  bool labelled = false;
  Json report = make_once(options, audio.input, audio.job, [&] {
    if (options.subspaces > 0) check_product_options(options.kmeans, options.subspaces, audio.dim());
    const int64_t expected = expected_frames(corpus, audio.input.origin.hop);
    const int64_t wanted = training_frames(expected, options.kmeans);
    KmeansOptions resolved = options.kmeans;
    resolved.engine = resolve_kmeans_engine(resolved.engine, resolved.device);
    require_memory_for(wanted, audio.dim(), resolved);
    labelled = wanted == expected;
    return labelled ? cluster_held_audio(options, audio, expected)
                    : cluster_sampled_audio(options, audio, wanted);
  });
  if (!labelled) label_corpus(options, audio.input.origin, corpus, *encoder);
  return report;
}

}  // namespace

bool wants_torch(const ClusterOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  return options.kmeans.device != "cpu" || has_others(options) ||
         (from_audio && wants_torch(encoder_options_of(options)));
}

Json run_cluster(const ClusterOptions& options) {
  if (!is_feature_norm(options.normalise))
    fail_usage("normalise {}: should be none, l2 or meanvar", options.normalise);
  check_step_options(options);
  check_subspaces(options);
  check_label_options(options);
  check_kmeans_options(kmeans_options(options));
  return options.encoder.model.empty() ? cluster_store(options) : cluster_audio(options);
}

}  // namespace retort
