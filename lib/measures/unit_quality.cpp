#include "measures/unit_quality.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "measures/contingency.h"

namespace retort {

UnitQuality unit_quality(const std::vector<std::vector<int64_t>>& counts) {
  const std::size_t unit_count = counts.empty() ? 0 : counts.front().size();
  const std::vector<int64_t> phones = row_sums(counts);
  const std::vector<int64_t> units = column_sums(counts);
  std::vector<int64_t> most_frequent_phone(unit_count, 0);
  UnitQuality quality;
  for (const std::vector<int64_t>& row : counts) {
    if (unit_count > 0) quality.cluster_hits += *std::max_element(row.begin(), row.end());
    for (std::size_t unit = 0; unit < unit_count; ++unit)
      most_frequent_phone[unit] = std::max(most_frequent_phone[unit], row[unit]);
  }
  quality.frames = sum_of(phones);
  quality.phone_hits = sum_of(most_frequent_phone);
  quality.phones_seen = used(phones);
  quality.units_used = used(units);
  if (quality.frames == 0) fail("no frame lies in a phone, so there is nothing to score");
  if (quality.phones_seen == 1)
    fail("all {} frames lie in the same phone, so PNMI is not defined", quality.frames);

  const auto n = static_cast<double>(quality.frames);
  quality.phone_purity = static_cast<double>(quality.phone_hits) / n;
  quality.cluster_purity = static_cast<double>(quality.cluster_hits) / n;
  quality.phone_entropy = entropy(phones);
  quality.unit_entropy = entropy(units);
  quality.unit_perplexity = std::exp(quality.unit_entropy);
  quality.mutual_information = mutual_information(counts);
  quality.pnmi = quality.mutual_information / quality.phone_entropy;
  return quality;
}

Json metrics_of(const UnitQuality& quality) {
  return {{"pnmi", quality.pnmi},
          {"phone_purity", quality.phone_purity},
          {"cluster_purity", quality.cluster_purity},
          {"mutual_information", quality.mutual_information},
          {"phone_entropy", quality.phone_entropy},
          {"unit_entropy", quality.unit_entropy},
          {"unit_perplexity", quality.unit_perplexity}};
}

}  // namespace retort
