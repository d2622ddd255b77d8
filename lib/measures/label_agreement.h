// How far two labellings of the same frames agree.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "measures/contingency.h"

namespace retort {

// Information in nats. Neither normalised information nor adjusted Rand index asks that labels have the same
// numbers, so codebooks of different sizes and models can be compared.
struct LabelAgreement {
  // 2 I / (H(reference) + H(labels)), known as V-measure: 1 where each label means one of the other.
  double normalised_information = 0;
  // Pairs of frames that both put together or both apart, beyond chance (Hubert and Arabie 1985): 0 for
  // labels drawn at random, 1 for the same partition.
  double adjusted_rand = 0;
  double mutual_information = 0;
  double reference_entropy = 0;
  double label_entropy = 0;
  int64_t frames = 0;
  int64_t reference_used = 0;  // labels that occur
  int64_t labels_used = 0;
};

// counts[reference label][label] frames. An Error where there is no frame, or one side has a single label.
LabelAgreement label_agreement(const ContingencyTable& counts);

// The measures by name, without the counts.
Json metrics_of(const LabelAgreement& agreement);

}  // namespace retort
