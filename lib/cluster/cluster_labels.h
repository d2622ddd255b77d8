// The labels of all input frames, which a clustering job writes once it has its codebook.
#pragma once

#include <span>

#include "cluster/cluster.h"
#include "corpus/corpus.h"
#include "kmeans/kmeans.h"
#include "store/frame_store.h"

namespace retort {

// Throws a usage Error where labels are asked for and cannot be had with the other options.
void check_label_options(const ClusterOptions& options);

// For jobs whose codebook is still to be made, so that what is wrong is not said after hours of work: labels
// that are there already are none of it, and a CTM needs frames with times.
void refuse_labels_before_codebook(const ClusterOptions& options, const FrameOrigin& origin);

// Both read the codebook and write what retort-label would, if labels are asked for and not there yet.
// Of frames at hand: `utterances` count the rows of `source`, `bad` those that were skipped by reason.
void label_source(const ClusterOptions& options, const FrameOrigin& origin, const FrameSource& source,
                  std::span<const StoredUtterance> utterances, const Json& bad = Json::object());
// Of audio, which is encoded again.
void label_corpus(const ClusterOptions& options, const FrameOrigin& origin, const Corpus& corpus,
                  FrameEncoder& encoder);

}  // namespace retort
