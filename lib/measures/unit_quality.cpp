#include "measures/unit_quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace retort {
namespace {

double entropy(const std::vector<int64_t>& counts, int64_t total) {
  double sum = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(total);
    sum -= share * std::log(share);
  }
  return sum;
}

int64_t sum_of(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

int64_t used(const std::vector<int64_t>& counts) {
  return std::count_if(counts.begin(), counts.end(), [](int64_t count) { return count > 0; });
}

// I = sum over phones p and units u of n(p,u)/N * log(n(p,u) N / (n(p) n(u))).
double mutual_information(const std::vector<std::vector<int64_t>>& counts, const std::vector<int64_t>& phones,
                          const std::vector<int64_t>& units, int64_t total) {
  const auto n = static_cast<double>(total);
  double sum = 0;
  for (std::size_t phone = 0; phone < counts.size(); ++phone) {
    for (std::size_t unit = 0; unit < units.size(); ++unit) {
      if (counts[phone][unit] == 0) continue;
      const auto both = static_cast<double>(counts[phone][unit]);
      const double apart = static_cast<double>(phones[phone]) * static_cast<double>(units[unit]);
      sum += both / n * std::log(both * n / apart);
    }
  }
  return std::max(0.0, sum);
}

}  // namespace

UnitQuality unit_quality(const std::vector<std::vector<int64_t>>& counts) {
  const std::size_t unit_count = counts.empty() ? 0 : counts.front().size();
  std::vector<int64_t> phones;
  std::vector<int64_t> units(unit_count, 0);
  std::vector<int64_t> most_frequent_phone(unit_count, 0);
  UnitQuality quality;
  for (const std::vector<int64_t>& row : counts) {
    phones.push_back(sum_of(row));
    if (unit_count > 0) quality.cluster_hits += *std::max_element(row.begin(), row.end());
    for (std::size_t unit = 0; unit < unit_count; ++unit) {
      units[unit] += row[unit];
      most_frequent_phone[unit] = std::max(most_frequent_phone[unit], row[unit]);
    }
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
  quality.phone_entropy = entropy(phones, quality.frames);
  quality.unit_entropy = entropy(units, quality.frames);
  quality.unit_perplexity = std::exp(quality.unit_entropy);
  quality.mutual_information = mutual_information(counts, phones, units, quality.frames);
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
