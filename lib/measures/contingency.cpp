#include "measures/contingency.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retort {

std::vector<int64_t> row_sums(const ContingencyTable& counts) {
  std::vector<int64_t> sums;
  for (const std::vector<int64_t>& row : counts) sums.push_back(sum_of(row));
  return sums;
}

std::vector<int64_t> column_sums(const ContingencyTable& counts) {
  std::vector<int64_t> sums(counts.empty() ? 0 : counts.front().size(), 0);
  for (const std::vector<int64_t>& row : counts)
    for (std::size_t column = 0; column < row.size(); ++column) sums[column] += row[column];
  return sums;
}

int64_t sum_of(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

int64_t used(const std::vector<int64_t>& counts) {
  return std::count_if(counts.begin(), counts.end(), [](int64_t count) { return count > 0; });
}

double entropy(const std::vector<int64_t>& counts) {
  const auto total = static_cast<double>(sum_of(counts));
  double sum = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    sum -= share * std::log(share);
  }
  return sum;
}

double mutual_information(const ContingencyTable& counts) {
  const std::vector<int64_t> rows = row_sums(counts);
  const std::vector<int64_t> columns = column_sums(counts);
  const auto total = static_cast<double>(sum_of(rows));
  double sum = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (counts[row][column] == 0) continue;
      const auto both = static_cast<double>(counts[row][column]);
      const double apart = static_cast<double>(rows[row]) * static_cast<double>(columns[column]);
      sum += both / total * std::log(both * total / apart);
    }
  }
  return std::max(0.0, sum);
}

}  // namespace retort
