#include "evaluate/units.h"

#include "base/hash.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "evaluate/alignments.h"
#include "evaluate/unit_quality.h"
#include "store/frame_store.h"

namespace retort {
namespace {

constexpr const char* protocol = "units-1";
constexpr int64_t frame_centre = 200;  // samples from the first one that a frame sees to its middle
constexpr int64_t overhang_allowed =
    model_rate / 10;  // samples by which an alignment may outlast its utterance

// Frames by phone and unit, and what was left out.
struct Tally {
  std::vector<std::vector<int64_t>> counts;  // [phone][unit]
  int64_t silence = 0;
  int64_t outside = 0;  // of any phone
  int64_t utterances = 0;
  int64_t without_alignment = 0;
};

void check_labels(const FrameStore& store, const UnitsOptions& options) {
  const StoreInfo& info = store.info();
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
int64_t frame_step(const FrameStore& store, const UnitsOptions& options) {
  const int hop = store.info().origin.hop;
  if (options.hop == 0) return 1;
  if (options.hop < 0 || options.hop % hop != 0)
    fail_usage("--hop {}: {} has a frame every {} samples; give a multiple of that", options.hop,
               options.labels, hop);
  return options.hop / hop;
}

void check_same_audio(const StoredUtterance& utterance, const std::vector<AlignedPhone>& phones,
                      const UnitsOptions& options) {
  if (phones.back().end > utterance.samples + overhang_allowed)
    fail("{}: utterance {} is aligned to {:.2f} s, but its labels are of {:.2f} s of audio",
         options.alignments, utterance.id, static_cast<double>(phones.back().end) / model_rate,
         static_cast<double>(utterance.samples) / model_rate);
}

Tally tally_frames(const FrameStore& store, const Alignments& alignments, const UnitsOptions& options) {
  std::vector<bool> silent;
  for (const std::string& phone : alignments.phones())
    silent.push_back(!options.keep_silence && is_silence(phone));
  Tally tally;
  tally.counts.assign(silent.size(),
                      std::vector<int64_t>(static_cast<std::size_t>(store.info().clusters), 0));
  const int64_t step = frame_step(store, options);
  const int64_t hop = store.info().origin.hop;
  for (const StoredUtterance& utterance : store.utterances()) {
    const std::vector<AlignedPhone>* phones = alignments.find(utterance.id);
    if (phones == nullptr) {
      ++tally.without_alignment;
      continue;
    }
    check_same_audio(utterance, *phones, options);
    ++tally.utterances;
    const std::vector<int32_t> labels = store.read_labels(utterance);
    for (int64_t frame = 0; frame < static_cast<int64_t>(labels.size()); frame += step) {
      const int phone = phone_at(*phones, frame * hop + frame_centre);
      const int32_t unit = labels[static_cast<std::size_t>(frame)];
      if (unit < 0 || unit >= store.info().clusters)
        fail("{}: utterance {} frame {} has label {}, but K is {}", options.labels, utterance.id, frame, unit,
             store.info().clusters);
      if (phone < 0)
        ++tally.outside;
      else if (silent[static_cast<std::size_t>(phone)])
        ++tally.silence;
      else
        ++tally.counts[static_cast<std::size_t>(phone)][static_cast<std::size_t>(unit)];
    }
  }
  return tally;
}

Json job_of(const FrameStore& store, const UnitsOptions& options) {
  const StoreInfo& info = store.info();
  return {{"task", "units"},
          {"protocol", protocol},
          {"model", info.origin.model},
          {"inputs",
           {{"labels", store.hash()},
            {"alignments", hash_file(options.alignments)},
            {"corpus", info.origin.corpus},
            {"codebook", info.codebook},
            {"layer", info.origin.layer}}},
          {"options",
           {{"hop", frame_step(store, options) * info.origin.hop}, {"keep_silence", options.keep_silence}}}};
}

Json metrics_of(const UnitQuality& quality) {
  return {{"pnmi", quality.pnmi},
          {"phone_purity", quality.phone_purity},
          {"cluster_purity", quality.cluster_purity},
          {"mutual_information", quality.mutual_information},
          {"phone_entropy", quality.phone_entropy},
          {"unit_entropy", quality.unit_entropy},
          {"unit_perplexity", quality.unit_perplexity}};
}

Json counts_of(const UnitQuality& quality, const Tally& tally, const FrameStore& store,
               const Alignments& alignments) {
  return {{"frames", quality.frames},
          {"phone_hits", quality.phone_hits},
          {"cluster_hits", quality.cluster_hits},
          {"phones", quality.phones_seen},
          {"units_used", quality.units_used},
          {"units", store.info().clusters},
          {"frames_of_silence", tally.silence},
          {"frames_outside_phones", tally.outside},
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
  const FrameStore store = FrameStore::open(options.labels);
  check_labels(store, options);
  const Alignments alignments = Alignments::read(options.alignments);
  if (const auto done = file.begin(job_of(store, options))) return line_of(*done);

  const Tally tally = tally_frames(store, alignments, options);
  if (tally.utterances == 0)
    fail("{}: none of its {} utterances is aligned in {}; are they of the same corpus?", options.labels,
         store.utterances().size(), options.alignments);
  if (tally.without_alignment > 0)
    log_info("evaluate", "{} of {} utterances have no alignment and are left out", tally.without_alignment,
             store.utterances().size());
  const UnitQuality quality = unit_quality(tally.counts);
  return line_of(file.write(
      {{"metrics", metrics_of(quality)}, {"counts", counts_of(quality, tally, store, alignments)}}));
}

}  // namespace retort
