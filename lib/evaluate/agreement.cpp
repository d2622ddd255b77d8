#include "evaluate/agreement.h"

#include <algorithm>

#include "base/error.h"
#include "measures/label_agreement.h"
#include "store/frame_store.h"

namespace retort {
namespace {

constexpr const char* protocol = "agreement-1";

FrameStore open_labels(const std::string& path) {
  FrameStore store = FrameStore::open(path);
  if (store.info().kind != StoreKind::labels) fail("{}: holds features, labels were expected", path);
  if (store.info().dedup)
    fail("{}: runs of labels are merged (--dedup), so frames have no times; label again without it", path);
  return store;
}

// Refuses utterances of `store` that `other` lacks, unless partial; returns how many there are.
int64_t unmatched(const FrameStore& store, const std::string& path, const FrameStore& other,
                  const std::string& other_path, bool partial) {
  int64_t lone = 0;
  for (const StoredUtterance& utterance : store.utterances()) {
    if (other.find(utterance.id) != nullptr) continue;
    if (!partial)
      fail("{}: has utterance {}, which {} lacks; --partial compares those that both have", path,
           utterance.id, other_path);
    ++lone;
  }
  return lone;
}

// How many of a store's frames make one that is compared.
int64_t step_to(int hop, const StoreInfo& info, const AgreementOptions& options) {
  if (hop % info.origin.hop != 0)
    fail("{} and {} have frames {} and {} samples apart, neither a multiple of the other", options.labels,
         options.reference, info.origin.hop, hop);
  return hop / info.origin.hop;
}

struct Pairs {
  ContingencyTable counts;  // [reference][label]
  int64_t same = 0;         // frames with equal numbers
  int64_t utterances = 0;
};

std::size_t checked(int32_t label, const StoreInfo& info, const std::string& path, const std::string& id) {
  if (label < 0 || label >= info.clusters)
    fail("{}: utterance {} has label {}, but K is {}", path, id, label, info.clusters);
  return static_cast<std::size_t>(label);
}

Pairs count_pairs(const FrameStore& labels, const FrameStore& reference, const AgreementOptions& options) {
  const int hop = std::max(labels.info().origin.hop, reference.info().origin.hop);
  const int64_t step = step_to(hop, labels.info(), options);
  const int64_t reference_step = step_to(hop, reference.info(), options);
  Pairs pairs;
  pairs.counts.assign(static_cast<std::size_t>(reference.info().clusters),
                      std::vector<int64_t>(static_cast<std::size_t>(labels.info().clusters)));
  for (const StoredUtterance& utterance : labels.utterances()) {
    const StoredUtterance* other = reference.find(utterance.id);
    if (other == nullptr) continue;
    const int64_t frames = (utterance.frames + step - 1) / step;
    const int64_t other_frames = (other->frames + reference_step - 1) / reference_step;
    if (std::abs(frames - other_frames) > 1)
      fail("{}: utterance {} has {} frames, but {} in {}; they are of different audio", options.labels,
           utterance.id, frames, other_frames, options.reference);
    const std::vector<int32_t> ours = labels.read_labels(utterance);
    const std::vector<int32_t> theirs = reference.read_labels(*other);
    for (int64_t frame = 0; frame < std::min(frames, other_frames); ++frame) {
      const int32_t our = ours[static_cast<std::size_t>(frame * step)];
      const int32_t their = theirs[static_cast<std::size_t>(frame * reference_step)];
      ++pairs.counts[checked(their, reference.info(), options.reference, utterance.id)]
                    [checked(our, labels.info(), options.labels, utterance.id)];
      pairs.same += our == their;
    }
    ++pairs.utterances;
  }
  return pairs;
}

std::string line_of(const Json& result) {
  const Json& metrics = result.at("metrics");
  std::string line = fmt::format(
      "agreement{} information {:.4f} rand {:.4f}", result.at("partial").get<bool>() ? " partial" : "",
      metrics.at("normalised_information").get<double>(), metrics.at("adjusted_rand").get<double>());
  if (metrics.contains("same")) line += fmt::format(" same {:.4f}", metrics.at("same").get<double>());
  return line + fmt::format(" frames {}", result.at("counts").at("frames").get<int64_t>());
}

}  // namespace

std::string run_agreement(const AgreementOptions& options) {
  ResultFile file(options.result);
  const FrameStore labels = open_labels(options.labels);
  const FrameStore reference = open_labels(options.reference);
  const Json job = {{"task", "agreement"},
                    {"protocol", protocol},
                    {"model", labels.info().origin.model},
                    {"inputs",
                     {{"labels", labels.hash()},
                      {"reference", reference.hash()},
                      {"codebook", labels.info().codebook},
                      {"reference_codebook", reference.info().codebook}}},
                    {"options", {{"partial", options.partial}}}};
  if (const auto done = file.begin(job)) return line_of(*done);
  const int64_t lone = unmatched(labels, options.labels, reference, options.reference, options.partial) +
                       unmatched(reference, options.reference, labels, options.labels, options.partial);
  const Pairs pairs = count_pairs(labels, reference, options);
  const LabelAgreement agreement = label_agreement(pairs.counts);
  Json metrics = metrics_of(agreement);
  if (!labels.info().codebook.empty() && labels.info().codebook == reference.info().codebook)
    metrics["same"] = static_cast<double>(pairs.same) / static_cast<double>(agreement.frames);
  return line_of(file.write({{"metrics", metrics},
                             {"counts",
                              {{"frames", agreement.frames},
                               {"units_used", agreement.labels_used},
                               {"reference_units_used", agreement.reference_used},
                               {"utterances", pairs.utterances},
                               {"utterances_of_one_side", lone}}},
                             {"partial", lone > 0}}));
}

}  // namespace retort
