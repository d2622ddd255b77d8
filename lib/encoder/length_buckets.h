// How utterances of many lengths are cut into padded batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace retort {

struct BucketLimits {
  int64_t padded = 0;  // samples of a bucket, padding included, at most; an utterance that is longer is alone
  int64_t overhead = 0;  // what a bucket costs besides, in samples that could be computed meanwhile
};

// Which utterances go together, shortest first, so that all samples, padding and overheads together are the
// fewest that there can be.
std::vector<std::vector<std::size_t>> length_buckets(const std::vector<int64_t>& lengths,
                                                     const BucketLimits& limits);

}  // namespace retort
