#include "evaluate/units.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "base/hash.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "measures/alignments.h"
#include "measures/phone_tally.h"
#include "measures/unit_quality.h"
#include "store/frame_store.h"
#include "store/kaldi_table.h"

namespace retort {
namespace {

constexpr const char* protocol = "units-1";
constexpr int64_t frame_width = 400;     // samples that a frame sees
constexpr int64_t most_units = 1 << 20;  // that a table may name; they are counted per phone
constexpr int hop_of_models = 320;

// Frames by phone and unit, and what was left out.
struct Tally {
  PhoneTally frames;
  int64_t utterances = 0;
  int64_t without_alignment = 0;
};

struct LabelledUtterance {
  std::string id;
  int64_t samples = 0;  // at 16 kHz
  std::vector<int32_t> labels;
};

// What is to be scored, wherever it comes from.
struct Labels {
  StoreInfo info;
  std::string hash;
  std::size_t utterances = 0;
  std::function<void(const std::function<void(const LabelledUtterance&)>&)> for_each;
};

Labels open_store(const UnitsOptions& options) {
  auto store = std::make_shared<FrameStore>(FrameStore::open(options.labels));
  Labels labels{store->info(), store->hash(), store->utterances().size(), nullptr};
  labels.for_each = [store](const auto& take) {
    for (const StoredUtterance& one : store->utterances())
      take({one.id, one.samples, store->read_labels(one)});
  };
  return labels;
}

// A table says nothing of what made it. Its audio is as long as its frames can see at most.
Labels open_table(const UnitsOptions& options) {
  if (!options.corpus.empty())
    fail_usage("--corpus: {} does not say what it was made from; leave it out", options.labels);
  if (options.hop < 0) fail_usage("--hop {}: should be positive", options.hop);
  FrameTable table(options.labels);
  Labels labels;
  labels.info.kind = table.kind();
  labels.info.origin.hop = options.hop > 0 ? options.hop : hop_of_models;
  auto utterances = std::make_shared<std::vector<LabelledUtterance>>();
  Hasher hasher;
  while (std::optional<TableUtterance> utterance = table.next()) {
    const std::vector<int32_t>& units = utterance->labels;
    hasher.add(fmt::format("{}\n{}\n", utterance->id, units.size()));
    hasher.add(units.data(), units.size() * sizeof(int32_t));
    for (const int32_t unit : units) labels.info.clusters = std::max(labels.info.clusters, int64_t{unit} + 1);
    if (labels.info.clusters > most_units)
      fail("{}: {} has label {}, more than units can be", options.labels, utterance->id,
           labels.info.clusters - 1);
    const auto seen = static_cast<int64_t>(units.size()) * labels.info.origin.hop + frame_width;
    utterances->push_back({std::move(utterance->id), seen, std::move(utterance->labels)});
  }
  labels.hash = hasher.hex();
  labels.utterances = utterances->size();
  labels.for_each = [utterances](const auto& take) {
    for (const LabelledUtterance& one : *utterances) take(one);
  };
  return labels;
}

void check_labels(const StoreInfo& info, const UnitsOptions& options) {
  if (info.kind != StoreKind::labels) fail("{}: holds features, labels were expected", options.labels);
  if (info.dedup)
    fail("{}: runs of labels are merged (--dedup), so frames have no times; label again without it",
         options.labels);
  if (options.corpus.empty()) return;
  const std::string corpus = Corpus::read(options.corpus).hash();
  if (info.origin.corpus != corpus)
    fail("{}: labels of corpus {}, but {} is {}", options.labels, info.origin.corpus, options.corpus, corpus);
}

// How many of the store's frames make one scored frame.
int64_t frame_step(const StoreInfo& info, const UnitsOptions& options) {
  const int hop = info.origin.hop;
  if (options.hop == 0) return 1;
  if (options.hop < 0 || options.hop % hop != 0)
    fail_usage("--hop {}: {} has a frame every {} samples; give a multiple of that", options.hop,
               options.labels, hop);
  return options.hop / hop;
}

Tally tally_frames(const Labels& labels, const Alignments& alignments, const UnitsOptions& options) {
  Tally tally{PhoneTally(alignments, labels.info.clusters, options.keep_silence)};
  const int64_t step = frame_step(labels.info, options);
  labels.for_each([&](const LabelledUtterance& utterance) {
    const std::vector<AlignedPhone>* phones = alignments.find(utterance.id);
    if (phones == nullptr) {
      ++tally.without_alignment;
      return;
    }
    require_same_audio(options.alignments, utterance.id, utterance.samples, *phones);
    ++tally.utterances;
    for (int64_t frame = 0; frame < static_cast<int64_t>(utterance.labels.size()); frame += step) {
      const int32_t unit = utterance.labels[static_cast<std::size_t>(frame)];
      if (unit < 0 || unit >= labels.info.clusters)
        fail("{}: utterance {} frame {} has label {}, but K is {}", options.labels, utterance.id, frame, unit,
             labels.info.clusters);
      tally.frames.add(*phones, frame, labels.info.origin.hop, unit);
    }
  });
  return tally;
}

Json job_of(const Labels& labels, const UnitsOptions& options) {
  const StoreInfo& info = labels.info;
  return {{"task", "units"},
          {"protocol", protocol},
          {"model", info.origin.model},
          {"inputs",
           {{"labels", labels.hash},
            {"alignments", hash_file(options.alignments)},
            {"corpus", info.origin.corpus},
            {"codebook", info.codebook},
            {"layer", info.origin.layer}}},
          {"options",
           {{"hop", frame_step(info, options) * info.origin.hop}, {"keep_silence", options.keep_silence}}}};
}

Json counts_of(const UnitQuality& quality, const Tally& tally, const Labels& labels,
               const Alignments& alignments) {
  return {{"frames", quality.frames},
          {"phone_hits", quality.phone_hits},
          {"cluster_hits", quality.cluster_hits},
          {"phones", quality.phones_seen},
          {"units_used", quality.units_used},
          {"units", labels.info.clusters},
          {"frames_of_silence", tally.frames.silence()},
          {"frames_outside_phones", tally.frames.outside()},
          {"utterances", tally.utterances},
          {"utterances_without_alignment", tally.without_alignment},
          {"alignments_without_labels", static_cast<int64_t>(alignments.utterances()) - tally.utterances}};
}

std::string line_of(const Json& result) {
  const Json& metrics = result.at("metrics");
  const Json& counts = result.at("counts");
  return fmt::format(
      "units pnmi {:.4f} phone_purity {:.4f} cluster_purity {:.4f} units_used {} units {} perplexity {:.1f} "
      "frames {}",
      metrics.at("pnmi").get<double>(), metrics.at("phone_purity").get<double>(),
      metrics.at("cluster_purity").get<double>(), counts.at("units_used").get<int64_t>(),
      counts.at("units").get<int64_t>(), metrics.at("unit_perplexity").get<double>(),
      counts.at("frames").get<int64_t>());
}

}  // namespace

std::string run_units(const UnitsOptions& options) {
  if (options.labels.empty() || options.alignments.empty())
    fail_usage("units: --labels and --alignments are required");
  ResultFile file(options.result);
  const Labels labels = is_table(options.labels) ? open_table(options) : open_store(options);
  check_labels(labels.info, options);
  const Alignments alignments = Alignments::read(options.alignments);
  if (const auto done = file.begin(job_of(labels, options))) return line_of(*done);

  const Tally tally = tally_frames(labels, alignments, options);
  if (tally.utterances == 0)
    fail("{}: none of its {} utterances is aligned in {}; are they of the same corpus?", options.labels,
         labels.utterances, options.alignments);
  if (tally.without_alignment > 0)
    log_info("evaluate", "{} of {} utterances have no alignment and are left out", tally.without_alignment,
             labels.utterances);
  const UnitQuality quality = unit_quality(tally.frames.counts());
  return line_of(file.write(
      {{"metrics", metrics_of(quality)}, {"counts", counts_of(quality, tally, labels, alignments)}}));
}

}  // namespace retort
