#include "cluster/cluster_labels.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "labels/label_frames.h"
#include "processes/process_environment.h"
#include "store/codebook.h"

namespace retort {
namespace {

// What writes the labels; nothing where they are there, or nobody wants them.
std::optional<FrameLabeller> begin_labels(const ClusterOptions& options, const FrameOrigin& origin) {
  if (options.labels.empty()) return {};
  const KmeansOptions& kmeans = options.kmeans;
  Codebook codebook = read_codebook(options.output);
  auto assigner = make_assigner(codebook.centroids, kmeans.engine, kmeans.device, kmeans.threads);
  std::optional<FrameLabeller> labeller(std::in_place, std::move(codebook),
                                        LabelOutput{options.labels, {}, false, options.overwrite},
                                        std::move(assigner), kmeans.threads);
  if (!labeller->begin(origin, labeller->dim(), Shard{})) return {};
  return labeller;
}

}  // namespace

void check_label_options(const ClusterOptions& options) {
  if (options.labels.empty()) return;
  if (!options.step.empty())
    fail_usage("--labels: a job in steps ends with the codebook; label with retort-label");
  if (options.subspaces > 0) fail_usage("--labels: a product codebook (--subspaces) makes no labels");
  if (const int count = process_environment().count; count > 1)
    fail_usage("--labels: are written by one process, here are {}; label with retort-label", count);
  if (is_standard_output(options.labels))
    fail_usage("--labels {}: standard output is for the report; name a file or folder", options.labels);
  if (std::filesystem::path(options.labels).lexically_normal() ==
      std::filesystem::path(options.output).lexically_normal())
    fail_usage("--labels {}: is the folder of the codebook; name another", options.labels);
}

void refuse_labels_before_codebook(const ClusterOptions& options, const FrameOrigin& origin) {
  if (options.labels.empty()) return;
  require_times(options.labels, {}, origin.hop);
  if (!options.overwrite && are_units_there(options.labels))
    fail("{}: exists, but the codebook {} does not; name other labels or give --overwrite", options.labels,
         options.output);
}

void label_source(const ClusterOptions& options, const FrameOrigin& origin, const FrameSource& source,
                  std::span<const StoredUtterance> utterances, const Json& bad) {
  if (std::optional<FrameLabeller> labeller = begin_labels(options, origin))
    label_rows(source, utterances, *labeller, bad);
}

void label_corpus(const ClusterOptions& options, const FrameOrigin& origin, const Corpus& corpus,
                  FrameEncoder& encoder) {
  if (std::optional<FrameLabeller> labeller = begin_labels(options, origin))
    label_audio(corpus, {0, corpus.size()}, encoder, options.kmeans.threads, options.max_bad, *labeller);
}

}  // namespace retort
