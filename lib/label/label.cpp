#include "label/label.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "base/log.h"
#include "base/progress.h"
#include "corpus/corpus.h"
#include "kmeans/frame_sources.h"
#include "labels/label_frames.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

// mfcc and fbank are computed on the CPU, and so are their labels.
SearchOptions search_options(const LabelOptions& options) {
  const bool on_cpu = is_feature_name(options.encoder.model);
  return {options.engine, on_cpu ? "cpu" : options.encoder.device, options.encoder.threads};
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

void label_store(const LabelOptions& options, const Shard& shard, FrameLabeller& labeller) {
  const std::filesystem::path path = options.inputs.front();
  const FrameStore store = path.extension() == ".npy" ? FrameStore::open_npy(path) : FrameStore::open(path);
  if (store.info().kind != StoreKind::features)
    fail("{}: holds labels, features were expected", path.string());
  std::vector<int64_t> weights;
  for (const StoredUtterance& utterance : store.utterances())
    weights.push_back(std::max(utterance.samples, utterance.frames));
  const Range range = shard_range(weights, shard);
  if (!labeller.begin(store.info().origin, store.info().dim, shard)) return;
  label_rows(StoreFrames(store), std::span(store.utterances()).subspan(range.begin, range.size()), labeller);
}

void label_corpus(const LabelOptions& options, const Shard& shard, const std::string& layer,
                  FrameLabeller& labeller) {
  EncoderOptions encoder_options = options.encoder;
  if (encoder_options.layers.empty() && !is_feature_name(encoder_options.model))
    encoder_options.layers = layer;
  const Corpus corpus = read_corpus_input(options.inputs);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  if (encoder->outputs().size() != 1)
    fail_usage("--layer {}: a codebook labels one layer", encoder_options.layers);
  FrameOrigin origin = encoder->origin(0);
  origin.corpus = corpus.hash();
  if (!labeller.begin(origin, encoder->outputs().front().dim, shard)) return;
  label_audio(corpus, corpus.range(shard), *encoder, encoder_options.threads, options.max_bad, labeller);
}

}  // namespace

void run_label(const LabelOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  const std::string frames = from_audio ? "" : stored_frames_input(options.encoder, options.inputs);
  if (is_table(frames)) parse_rspecifier(frames);
  if (is_table(options.output.path)) parse_wspecifier(options.output.path);
  check_label_output(options.output);
  if (options.output.soft && options.engine != LabelOptions().engine)
    fail_usage("--engine {}: finds nearest centroids; --soft computes all distances itself", options.engine);
  const Shard shard = parse_shard(options.shard);
  Codebook codebook = read_codebook(options.codebook);
  const std::string layer = codebook.origin.layer;
  FrameLabeller labeller(std::move(codebook), options.output, search_options(options));
  if (from_audio)
    label_corpus(options, shard, layer, labeller);
  else if (is_table(frames))
    label_table(frames, shard, labeller);
  else
    label_store(options, shard, labeller);
}

}  // namespace retort
