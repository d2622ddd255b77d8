// What the ways to cluster share: the job's identity, what it starts from, and its report.
#pragma once

#include "cluster/cluster.h"
#include "kmeans/product_quantiser.h"
#include "store/codebook.h"

namespace retort {

// What is to be clustered, wherever it comes from.
struct Input {
  FrameOrigin origin;
  std::string frames;  // identity of plain arrays and tables, which have no origin
};

// What the centroids follow from: the same job gives the same codebook, byte for byte.
Json job_of(const ClusterOptions& options, const Input& input);

// True if the codebook is there and came from this job.
bool is_done(const ClusterOptions& options, const Json& job);

// The options with an `init` that k-means knows: of a codebook its file of centroids.
KmeansOptions kmeans_options(const ClusterOptions& options);

// How frames are normalised, and kmeans_options().
struct Start {
  FeatureNorm norm;
  KmeansOptions kmeans;
};

// Reads the codebook to start from, which must be of such frames, or measures the normalisation.
Start start_of(const ClusterOptions& options, const FrameSource& source, const Input& input);

// Writes the codebook and returns the report that is printed, without what only this run knows. `phones` is
// the score by alignments, or null.
Json write_result(const ClusterOptions& options, const Input& input, const FeatureNorm& norm,
                  const KmeansResult& result, const Json& job, const Json& phones = nullptr);

// The same of a product codebook.
Json write_product_result(const ClusterOptions& options, const Input& input, const ProductResult& result,
                          const Json& job);

// What a dry run prints, of a job over so many frames (the ones it trains on) and this many seconds of other
// work. The time is that of passes without the bounds that spare most distances, so more than most jobs take.
Json dry_run_report(const ClusterOptions& options, int64_t frames, int64_t dim, double other_seconds);

// What a rerun prints: the codebook's own report.
Json report_on_disk(const std::string& folder);

}  // namespace retort
