// Which frames a model must predict without seeing them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "distill/recipe.h"

namespace retort {

// A row per utterance of `frames[row]` valid frames; 1 where a frame is masked. All rows have as many masked
// frames (the smallest count of the batch; surplus ones are dropped at random) and width max(frames); none
// past its end is masked. Source: fairseq data/data_utils.py compute_mask_indices with mask_type static,
// no_overlap False and require_same_masks True. Throws for an utterance too short to leave a frame unmasked.
std::vector<std::vector<uint8_t>> span_masks(const std::vector<int64_t>& frames,
                                             const MaskingOptions& options, Random& random);

}  // namespace retort
