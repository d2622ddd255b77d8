// A job in steps that processes on many machines make: they meet in OUTPUT/passes/.
//
// "update" chooses the first centroids, and later takes in what all shards of a pass learnt: it moves the
// centroids, or writes the codebook and removes the folder. "assign" holds one shard of the frames against
// the current centroids. Both do nothing where nothing is to be done, so either can be run again at any time.
// The codebook is that of one process, byte for byte, for any number of shards.
#pragma once

#include "cluster/cluster_job.h"

namespace retort {

// Throws a usage Error for options that cannot be made in steps.
void check_step_options(const ClusterOptions& options);

// Removes what the steps that made a codebook have left beside it.
void remove_passes(const std::string& output);

// Returns how far the job is, or after its last step the report.
Json run_cluster_step(const ClusterOptions& options, const FrameSource& source, const Input& input,
                      const Json& job);

}  // namespace retort
