// WavLM's relative positions: distances are told apart by buckets.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace retort {

// The bucket, of config.relative_buckets, of a key `distance` frames behind its query (negative: before it).
// From config.relative_distance on, in either direction, all are in one.
int64_t relative_bucket(const ModelConfig& config, int64_t distance);

}  // namespace retort
