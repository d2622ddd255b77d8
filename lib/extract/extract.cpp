#include "extract/extract.h"

#include <algorithm>
#include <filesystem>

#include "base/bad_items.h"
#include "base/disk.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "store/frame_store.h"
#include "store/frame_values.h"
#include "store/kaldi_table.h"
#include "store/part_plan.h"
#include "store/product_codebook.h"

namespace retort {
namespace {

// One store that the job writes a part of.
struct Target {
  std::filesystem::path folder;
  StoreInfo info;
  bool done = false;
};

StoreInfo info_of(const ExtractOptions& options, const FrameEncoder& encoder, std::size_t output,
                  const std::string& corpus_hash) {
  StoreInfo info;
  info.dim = encoder.outputs()[output].dim;
  info.origin = encoder.origin(output);
  info.origin.corpus = corpus_hash;
  const bool of_each_layer = encoder.outputs().size() > 1 && !options.codebook.empty();
  const std::filesystem::path codebook(options.codebook);
  set_value_type(info, options.dtype, of_each_layer ? codebook / encoder.outputs()[output].layer : codebook);
  return info;
}

std::vector<Target> make_targets(const ExtractOptions& options, const FrameEncoder& encoder,
                                 const CorpusShard& part, const Shard& shard) {
  std::vector<Target> targets;
  const std::vector<EncoderOutput>& outputs = encoder.outputs();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Target target;
    target.folder = outputs.size() == 1 ? std::filesystem::path(options.output)
                                        : std::filesystem::path(options.output) / outputs[i].layer;
    target.info = info_of(options, encoder, i, part.whole_hash);
    if (!options.dry_run) target.done = part_is_done(target.folder, target.info, shard, options.overwrite);
    targets.push_back(std::move(target));
  }
  return targets;
}

PartPlan plan_of(const Target& target, const FrameEncoder& encoder, std::size_t output,
                 const CorpusShard& part, const Shard& shard) {
  PartPlan plan(target.info, shard);
  for (const Utterance& utterance : part.corpus.utterances())
    plan.add(utterance.id, utterance.model_samples(), encoder.frames(output, utterance.model_samples()));
  return plan;
}

void log_plan(const ExtractOptions& options, const FrameEncoder& encoder, const CorpusShard& part) {
  int64_t frames = 0, bytes = 0;
  for (std::size_t output = 0; output < encoder.outputs().size(); ++output) {
    int64_t rows = 0;
    for (const Utterance& utterance : part.corpus.utterances())
      rows += encoder.frames(output, utterance.model_samples());
    frames = std::max(frames, rows);
    bytes += rows * frame_bytes(info_of(options, encoder, output, part.whole_hash));
  }
  log_info("extract", "{} utterances, {} frames, {} bytes of values into {}", part.corpus.size(), frames,
           bytes, options.output);
}

// What a dry run prints: of all layers together, and how long this machine would take.
Json dry_run_report(const ExtractOptions& options, const CorpusShard& part, const Shard& shard,
                    FrameEncoder& encoder, const std::vector<PartPlan>& plans) {
  int64_t frames = 0, files = 0, bytes = 0;
  for (const PartPlan& plan : plans) {
    frames = std::max(frames, plan.frames());
    files += plan.files();
    bytes += plan.bytes();
  }
  return {{"part", fmt::format("{}/{}", shard.index, shard.count)},
          {"utterances", part.corpus.size()},
          {"audio_seconds", part.corpus.seconds()},
          {"frames", frames},
          {"files", files},
          {"bytes", bytes},
          {"free_bytes", free_disk_bytes(options.output)},
          {"estimated_seconds", estimate_encoding_seconds(part.corpus, encoder, options.encoder.threads)}};
}

// Encodes the shard's utterances; says in the end how many were good.
BadItems encode(const ExtractOptions& options, const Corpus& corpus, FrameEncoder& encoder,
                const std::function<void(const EncodedUtterance&)>& take) {
  BadItems bad("extract", options.max_bad);
  for_each_encoded(corpus, {0, corpus.size()}, encoder, options.encoder.threads, "extract", bad, take);
  bad.judge(corpus.size());
  return bad;
}

Json extract_to_stores(const ExtractOptions& options, const CorpusShard& part, const Shard& shard,
                       FrameEncoder& encoder) {
  const std::vector<Target> targets = make_targets(options, encoder, part, shard);
  if (std::all_of(targets.begin(), targets.end(), [](const Target& target) { return target.done; })) {
    log_info("extract", "{} is there already: nothing to do",
             (targets.front().folder / shard.stem()).string());
    return {};
  }
  std::vector<PartPlan> plans;
  int64_t bytes = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    plans.push_back(plan_of(targets[i], encoder, i, part, shard));
    if (!targets[i].done) bytes += plans.back().bytes();
  }
  if (options.dry_run) return dry_run_report(options, part, shard, encoder, plans);
  DiskBudget(options.output, options.keep_free).require(bytes);
  std::vector<std::unique_ptr<FramePartWriter>> writers;
  for (const Target& target : targets)
    writers.push_back(target.done ? nullptr
                                  : std::make_unique<FramePartWriter>(target.folder, target.info, shard,
                                                                      options.keep_free));
  const BadItems bad = encode(options, part.corpus, encoder, [&](const EncodedUtterance& utterance) {
    for (std::size_t i = 0; i < writers.size(); ++i)
      if (writers[i])
        writers[i]->add_features(utterance.utterance->id, utterance.samples, utterance.outputs[i]);
  });
  for (const auto& writer : writers)
    if (writer) writer->commit(bad.reasons());
  log_info("extract", "{} of {} utterances written", part.corpus.size() - bad.count(), part.corpus.size());
  return {};
}

// A table has no sidecar: nothing says what made it, and a rerun cannot know that it is done.
void extract_to_table(const ExtractOptions& options, const Corpus& corpus, FrameEncoder& encoder) {
  if (encoder.outputs().size() != 1)
    fail_usage("--layer {}: a table holds one layer", options.encoder.layers);
  if (options.dry_run) return;
  KaldiTableWriter writer(parse_wspecifier(options.output), options.overwrite);
  const BadItems bad = encode(options, corpus, encoder, [&](const EncodedUtterance& utterance) {
    writer.add_features(utterance.utterance->id, utterance.outputs.front());
  });
  writer.commit();
  log_info("extract", "{} of {} utterances written", corpus.size() - bad.count(), corpus.size());
}

// Of inputs and outputs, what other tools take and users try.
void refuse_other_forms(const ExtractOptions& options) {
  if (options.output == "-")
    fail_usage("-o -: a store is a folder; ark:- or ark,t:- writes a table to standard output");
  for (const std::string& input : options.inputs)
    if (is_table(input))
      fail_usage(
          "{}: a table holds frames; INPUT is a corpus file or audio files (retort-prepare takes a wav.scp)",
          input);
}

}  // namespace

Json run_extract(const ExtractOptions& options) {
  const Shard shard = parse_shard(options.shard);
  refuse_other_forms(options);
  const bool to_table = is_table(options.output);
  if (to_table) {
    parse_wspecifier(options.output);
    if (options.dtype != "f32") fail_usage("--dtype {}: a Kaldi table holds f32", options.dtype);
  }
  const CorpusShard part = read_corpus_shard(options.inputs, shard);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(options.encoder);
  log_plan(options, *encoder, part);
  if (!to_table) return extract_to_stores(options, part, shard, *encoder);
  extract_to_table(options, part.corpus, *encoder);
  return {};
}

}  // namespace retort
