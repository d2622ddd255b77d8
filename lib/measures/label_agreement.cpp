#include "measures/label_agreement.h"

#include "base/error.h"

namespace retort {
namespace {

double pairs(int64_t items) {
  return static_cast<double>(items) * static_cast<double>(items - 1) / 2;
}

double pairs_within(const std::vector<int64_t>& counts) {
  double sum = 0;
  for (const int64_t count : counts) sum += pairs(count);
  return sum;
}

double adjusted_rand(const ContingencyTable& counts) {
  double together = 0;
  for (const std::vector<int64_t>& row : counts) together += pairs_within(row);
  const std::vector<int64_t> rows = row_sums(counts);
  const double by_rows = pairs_within(rows);
  const double by_columns = pairs_within(column_sums(counts));
  const double expected = by_rows * by_columns / pairs(sum_of(rows));
  const double most = (by_rows + by_columns) / 2;
  // All frames apart on both sides: the same partition.
  return most == expected ? 1 : (together - expected) / (most - expected);
}

}  // namespace

LabelAgreement label_agreement(const ContingencyTable& counts) {
  LabelAgreement agreement;
  const std::vector<int64_t> references = row_sums(counts);
  const std::vector<int64_t> labels = column_sums(counts);
  agreement.frames = sum_of(references);
  agreement.reference_used = used(references);
  agreement.labels_used = used(labels);
  if (agreement.frames == 0) fail("no frame has two labels, so there is nothing to compare");
  if (agreement.reference_used == 1 || agreement.labels_used == 1)
    fail("all {} frames have the same {}label, so agreement is not defined", agreement.frames,
         agreement.reference_used == 1 ? "reference " : "");
  agreement.reference_entropy = entropy(references);
  agreement.label_entropy = entropy(labels);
  agreement.mutual_information = mutual_information(counts);
  agreement.normalised_information =
      2 * agreement.mutual_information / (agreement.reference_entropy + agreement.label_entropy);
  agreement.adjusted_rand = adjusted_rand(counts);
  return agreement;
}

Json metrics_of(const LabelAgreement& agreement) {
  return {{"normalised_information", agreement.normalised_information},
          {"adjusted_rand", agreement.adjusted_rand},
          {"mutual_information", agreement.mutual_information},
          {"reference_entropy", agreement.reference_entropy},
          {"label_entropy", agreement.label_entropy}};
}

}  // namespace retort
