#include "label/label.h"

#include <algorithm>
#include <filesystem>

#include "base/bad_items.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "kmeans/kmeans.h"
#include "label/label_sink.h"
#include "store/codebook.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

// Turns frames into labels and hands them to the sink.
class Labeller {
 public:
  Labeller(const LabelOptions& options, const Codebook& codebook)
      : options_(options),
        codebook_(codebook),
        assigner_(make_assigner(codebook.centroids, options.engine, assigner_device(options),
                                options.encoder.threads)) {}

  // Opens the output for frames of this origin; false where its part is there already.
  bool begin(const FrameOrigin& origin, int64_t dim, const Shard& shard) {
    require_same_features(codebook_, origin, dim);
    if (is_table(options_.output)) {  // "ark,t:labels.txt" is one
      sink_ = make_table_sink(parse_wspecifier(options_.output), options_.overwrite);
      return true;
    }
    if (is_text_output(options_.output)) {
      sink_ = make_text_sink(options_.output, options_.overwrite);
      return true;
    }
    StoreInfo info;
    info.kind = StoreKind::labels;
    info.dtype = codebook_.clusters() <= 65536 ? "u16" : "i32";
    info.dim = 1;
    info.origin = origin;
    info.codebook = codebook_.hash();
    info.clusters = codebook_.clusters();
    info.dedup = options_.dedup;
    if (part_is_done(options_.output, info, shard, options_.overwrite)) {
      log_info("label", "{} is there already: nothing to do",
               (std::filesystem::path(options_.output) / shard.stem()).string());
      return false;
    }
    sink_ = make_store_sink(options_.output, info, shard);
    return true;
  }

  void add(const std::string& id, int64_t samples, const Matrix& frames) {
    std::vector<int32_t> labels(static_cast<std::size_t>(frames.rows()));
    if (!labels.empty()) assign(codebook_.norm.none() ? frames : codebook_.norm.applied(frames), labels);
    if (options_.dedup) labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
    sink_->add(id, samples, labels);
  }

  void commit(const Json& bad) { sink_->commit(bad); }

 private:
  void assign(const Matrix& frames, std::vector<int32_t>& labels) {
    assigner_->assign(frames.data(), frames.rows(), labels.data(), nullptr);
  }

  static std::string assigner_device(const LabelOptions& options) {
    return is_feature_name(options.encoder.model) ? "cpu" : options.encoder.device;
  }

  const LabelOptions& options_;
  const Codebook& codebook_;
  std::unique_ptr<Assigner> assigner_;
  std::unique_ptr<LabelSink> sink_;
};

// Labels as the table is read, so that it may be a pipe of any length.
void label_table(const std::string& rspecifier, const Shard& shard, Labeller& labeller) {
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

void label_store(const LabelOptions& options, const Shard& shard, Labeller& labeller) {
  const std::filesystem::path path = options.inputs.front();
  const FrameStore store = path.extension() == ".npy" ? FrameStore::open_npy(path) : FrameStore::open(path);
  if (store.info().kind != StoreKind::features)
    fail("{}: holds labels, features were expected", path.string());
  std::vector<int64_t> weights;
  for (const StoredUtterance& utterance : store.utterances())
    weights.push_back(std::max(utterance.samples, utterance.frames));
  const Range range = shard_range(weights, shard);
  if (!labeller.begin(store.info().origin, store.info().dim, shard)) return;
  Progress progress("label", "utterances", static_cast<double>(range.size()));
  for (std::size_t i = range.begin; i < range.end; ++i) {
    throw_if_stopped();
    const StoredUtterance& utterance = store.utterances()[i];
    labeller.add(utterance.id, utterance.samples, store.read_features(utterance));
    progress.advance(1);
  }
  labeller.commit(Json::object());
  log_info("label", "{} utterances labelled", range.size());
}

void label_audio(const LabelOptions& options, const Shard& shard, const Codebook& codebook,
                 Labeller& labeller) {
  EncoderOptions encoder_options = options.encoder;
  if (encoder_options.layers.empty() && !is_feature_name(encoder_options.model))
    encoder_options.layers = codebook.origin.layer;
  const Corpus corpus = read_corpus_input(options.inputs);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  if (encoder->outputs().size() != 1)
    fail_usage("--layer {}: a codebook labels one layer", encoder_options.layers);
  FrameOrigin origin = encoder->origin(0);
  origin.corpus = corpus.hash();
  if (!labeller.begin(origin, encoder->outputs().front().dim, shard)) return;
  const Range range = corpus.range(shard);
  BadItems bad("label", options.max_bad);
  for_each_encoded(corpus, range, *encoder, encoder_options.threads, "label", bad,
                   [&](EncodedUtterance utterance) {
                     labeller.add(utterance.utterance->id, utterance.samples, utterance.outputs.front());
                   });
  bad.judge(range.size());
  labeller.commit(bad.reasons());
  log_info("label", "{} of {} utterances labelled", range.size() - bad.count(), range.size());
}

}  // namespace

void run_label(const LabelOptions& options) {
  const bool from_audio = !options.encoder.model.empty();
  if (!from_audio && options.inputs.size() != 1)
    fail_usage("INPUT: one frame store, .npy or Kaldi table, or --model with audio");
  const bool from_table = !from_audio && is_table(options.inputs.front());
  if (from_table) parse_rspecifier(options.inputs.front());
  if (is_table(options.output)) parse_wspecifier(options.output);
  const Shard shard = parse_shard(options.shard);
  if (!from_audio) refuse_encoder_options(options.encoder);
  const Codebook codebook = read_codebook(options.codebook);
  Labeller labeller(options, codebook);
  if (from_audio)
    label_audio(options, shard, codebook, labeller);
  else if (from_table)
    label_table(options.inputs.front(), shard, labeller);
  else
    label_store(options, shard, labeller);
}

}  // namespace retort
