// How well discrete units tell phones apart.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

namespace retort {

// All of one table of frames. Entropies and mutual information in nats. Definitions: Hsu et al., "HuBERT:
// Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units", section V-A.
struct UnitQuality {
  double pnmi = 0;  // I(phone; unit) / H(phone): share of the phone's uncertainty that the unit removes
  double phone_purity = 0;    // share of frames whose phone is the most frequent one of their unit
  double cluster_purity = 0;  // share of frames whose unit is the most frequent one of their phone
  double mutual_information = 0;
  double phone_entropy = 0;
  double unit_entropy = 0;
  double unit_perplexity = 0;  // exp(unit_entropy): units in effective use
  int64_t frames = 0;
  int64_t phone_hits = 0;    // phone_purity * frames
  int64_t cluster_hits = 0;  // cluster_purity * frames
  int64_t phones_seen = 0;
  int64_t units_used = 0;
};

// counts[phone][unit] frames. An Error where there is no frame, or only one phone (its entropy is 0).
UnitQuality unit_quality(const std::vector<std::vector<int64_t>>& counts);

// The measures by name, without the counts.
Json metrics_of(const UnitQuality& quality);

}  // namespace retort
