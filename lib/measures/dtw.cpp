#include "measures/dtw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace retort {
namespace {

constexpr double least_range = 1e-9;  // of a row, below which all its values count as its least

// In several sums side by side, which a compiler can keep in one register.
double product(std::span<const float> a, std::span<const float> b) {
  std::array<double, 8> sums{};
  const std::size_t whole = a.size() / sums.size() * sums.size();
  for (std::size_t i = 0; i < whole; i += sums.size())
    for (std::size_t k = 0; k < sums.size(); ++k)
      sums[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
  for (std::size_t i = whole; i < a.size(); ++i)
    sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

std::vector<double> norms_of(const Matrix& frames) {
  std::vector<double> norms;
  for (int64_t row = 0; row < frames.rows(); ++row)
    norms.push_back(std::sqrt(product(frames.row(row), frames.row(row))));
  return norms;
}

void spread_row(std::span<float> row) {
  const auto [least, greatest] = std::minmax_element(row.begin(), row.end());
  const float from = *least;
  const double range = std::max(static_cast<double>(*greatest) - static_cast<double>(from), least_range);
  for (float& value : row)
    value = static_cast<float>((static_cast<double>(value) - static_cast<double>(from)) / range);
}

}  // namespace

Matrix query_distances(const Matrix& query, const Matrix& document, bool spread) {
  const std::vector<double> query_norms = norms_of(query), document_norms = norms_of(document);
  Matrix distances(query.rows(), document.rows());
  for (int64_t i = 0; i < query.rows(); ++i) {
    for (int64_t j = 0; j < document.rows(); ++j) {
      const double norms =
          query_norms[static_cast<std::size_t>(i)] * document_norms[static_cast<std::size_t>(j)];
      const double cosine = norms > 0 ? product(query.row(i), document.row(j)) / norms : 0;
      distances(i, j) = static_cast<float>(std::expm1(1 - cosine));
    }
    if (spread && document.rows() > 0) spread_row(distances.row(i));
  }
  return distances;
}

double subsequence_cost(const Matrix& distances) {
  if (distances.rows() == 0 || distances.columns() == 0)
    fail("a query of {} frames cannot be looked for in {}", distances.rows(), distances.columns());
  const auto columns = static_cast<std::size_t>(distances.columns());
  std::vector<double> before(columns, 0), now(columns);
  for (int64_t row = 0; row < distances.rows(); ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      double best = before[column];
      if (column >= 1) best = std::min(best, before[column - 1]);
      if (column >= 2) best = std::min(best, before[column - 2]);
      now[column] = best + static_cast<double>(distances(row, static_cast<int64_t>(column)));
    }
    std::swap(before, now);
  }
  return *std::min_element(before.begin(), before.end()) / static_cast<double>(distances.rows());
}

}  // namespace retort
