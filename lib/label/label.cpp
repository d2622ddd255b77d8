#include "label/label.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "base/disk.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "labels/label_frames.h"
#include "store/kaldi_table.h"
#include "store/part_plan.h"

namespace retort {
namespace {

// mfcc and fbank are computed on the CPU, and so are their labels.
std::string search_device(const LabelOptions& options) {
  return is_feature_name(options.encoder.model) ? "cpu" : options.encoder.device;
}

bool wants_torch_search(const LabelOptions& options) {
  return !options.output.soft && (options.engine == "torch" || search_device(options) != "cpu");
}

std::unique_ptr<Assigner> make_search(const LabelOptions& options, const Matrix& centroids) {
  if (options.output.soft) return nullptr;
  const int threads = options.encoder.threads > 0 ? options.encoder.threads : available_threads();
  if (!wants_torch_search(options)) return make_native_assigner(centroids, threads);
  if (make_device_assigner == nullptr)
    fail_usage("engine {} on {}: this program has no LibTorch, which engine torch and GPUs need",
               options.engine, search_device(options));
  return make_device_assigner(centroids, options.engine, search_device(options), threads);
}

Json dry_run_report(const LabelOptions& options, const Shard& shard, const FrameLabeller& labeller,
                    const PartPlan& plan, double encoding_seconds) {
  Json report = {{"part", fmt::format("{}/{}", shard.index, shard.count)}};
  report.update(plan.to_json());
  report["free_bytes"] = free_disk_bytes(options.output.path);
  report["estimated_seconds"] =
      encoding_seconds + static_cast<double>(plan.frames()) * labeller.seconds_per_frame();
  return report;
}

void require_room(const LabelOptions& options, const PartPlan& plan) {
  if (is_unit_store(options.output.path))
    DiskBudget(options.output.path, options.output.keep_free).require(plan.bytes());
}

// Labels as the table is read, so that it may be a pipe of any length.
void label_table(const std::string& rspecifier, const Shard& shard, FrameLabeller& labeller) {
  if (shard != Shard{})
    fail_usage("--shard: a table is labelled whole; give each job a table of its own, or copy it to a store");
  FrameTable table(rspecifier);
  if (table.kind() != StoreKind::features) fail("{}: holds labels, features were expected", rspecifier);
  FrameOrigin unknown;
  unknown.hop = 0;
  labeller.begin(unknown, table.dim(), shard);
  Progress progress("label", "utterances", 0);
  int64_t utterances = 0;
  for (; const std::optional<TableUtterance> utterance = table.next(); ++utterances) {
    labeller.add(utterance->id, 0, utterance->frames);
    progress.advance(1);
  }
  labeller.commit(Json::object());
  log_info("label", "{} utterances labelled", utterances);
}

Json label_store(const LabelOptions& options, const Shard& shard, FrameLabeller& labeller) {
  const std::filesystem::path path = options.inputs.front();
  const FrameStore store = path.extension() == ".npy" ? FrameStore::open_npy(path) : FrameStore::open(path);
  if (store.info().kind != StoreKind::features)
    fail("{}: holds labels, features were expected", path.string());
  std::vector<int64_t> weights;
  for (const StoredUtterance& utterance : store.utterances())
    weights.push_back(std::max(utterance.samples, utterance.frames));
  const Range range = shard_range(weights, shard);
  const auto utterances = std::span(store.utterances()).subspan(range.begin, range.size());
  PartPlan plan = labeller.plan(store.info().origin, store.info().dim, shard);
  for (const StoredUtterance& utterance : utterances)
    plan.add(utterance.id, utterance.samples, utterance.frames);
  if (options.dry_run) return dry_run_report(options, shard, labeller, plan, 0);
  if (!labeller.begin(store.info().origin, store.info().dim, shard)) return {};
  require_room(options, plan);
  label_rows(StoreFrames(store), utterances, labeller);
  return {};
}

Json label_corpus(const LabelOptions& options, const Shard& shard, const std::string& layer,
                  FrameLabeller& labeller) {
  EncoderOptions encoder_options = options.encoder;
  if (encoder_options.layers.empty() && !is_feature_name(encoder_options.model))
    encoder_options.layers = layer;
  const CorpusShard part = read_corpus_shard(options.inputs, shard);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  if (encoder->outputs().size() != 1)
    fail_usage("--layer {}: a codebook labels one layer", encoder_options.layers);
  FrameOrigin origin = encoder->origin(0);
  origin.corpus = part.whole_hash;
  const int64_t dim = encoder->outputs().front().dim;
  PartPlan plan = labeller.plan(origin, dim, shard);
  for (const Utterance& utterance : part.corpus.utterances())
    plan.add(utterance.id, utterance.model_samples(), encoder->frames(0, utterance.model_samples()));
  if (options.dry_run)
    return dry_run_report(options, shard, labeller, plan,
                          estimate_encoding_seconds(part.corpus, *encoder, encoder_options.threads));
  if (!labeller.begin(origin, dim, shard)) return {};
  require_room(options, plan);
  label_audio(part.corpus, {0, part.corpus.size()}, *encoder, encoder_options.threads, options.max_bad,
              labeller);
  return {};
}

}  // namespace

bool wants_torch(const LabelOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  return wants_torch_search(options) || (from_audio && wants_torch(options.encoder));
}

Json run_label(const LabelOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  const std::string frames = from_audio ? "" : stored_frames_input(options.encoder, options.inputs);
  if (is_table(frames)) parse_rspecifier(frames);
  if (is_table(options.output.path)) parse_wspecifier(options.output.path);
  check_label_output(options.output);
  if (options.output.soft && options.engine != LabelOptions().engine)
    fail_usage("--engine {}: finds nearest centroids; --soft computes all distances itself", options.engine);
  if (options.dry_run && is_table(frames))
    fail_usage("--dry-run: a table's length is not known before it is read");
  if (options.dry_run && !is_unit_store(options.output.path))
    fail_usage("--dry-run: is for label stores, {} is none", options.output.path);
  const Shard shard = parse_shard(options.shard);
  Codebook codebook = read_codebook(options.codebook);
  const std::string layer = codebook.origin.layer;
  std::unique_ptr<Assigner> search = make_search(options, codebook.centroids);
  FrameLabeller labeller(std::move(codebook), options.output, std::move(search), options.encoder.threads);
  if (from_audio) return label_corpus(options, shard, layer, labeller);
  if (!is_table(frames)) return label_store(options, shard, labeller);
  label_table(frames, shard, labeller);
  return {};
}

}  // namespace retort
