#include "kmeans/packed_centroids.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kmeans/lane_minima.h"
#include "kmeans/simd.h"

namespace retort {
namespace {

constexpr int64_t tile_rows = 6;     // with two AVX2 registers each: twelve sums in sixteen registers
constexpr int64_t block_rows = 192;  // as many centred rows as stay in the second-level cache beside a panel

// By reference: how a vector this wide is returned depends on the instruction set.
RETORT_INLINE void load(const float* values, Float16& vector) {
  std::memcpy(&vector, values, sizeof vector);
}

// Scores of `rows` (tile_rows of them) against one panel.
RETORT_INLINE void score_tile(const float* const* rows, const float* panel, const float* norms, int64_t dim,
                              Float16* scores) {
  Float16 sums[tile_rows];
  for (Float16& sum : sums) load(norms, sum);
  for (int64_t j = 0; j < dim; ++j) {
    Float16 weights;
    load(panel + j * PackedCentroids::panel_width, weights);
#pragma GCC unroll 6
    for (int64_t r = 0; r < tile_rows; ++r) sums[r] += rows[r][j] * weights;
  }
  for (int64_t r = 0; r < tile_rows; ++r) scores[r] = sums[r];
}

RETORT_CLONES void search_panel(const float* rows, int64_t count, int64_t dim, const float* panel,
                                const float* norms, int32_t index, LaneMinima* minima) {
  for (int64_t first = 0; first < count; first += tile_rows) {
    const float* tile[tile_rows];
    for (int64_t r = 0; r < tile_rows; ++r) tile[r] = rows + std::min(first + r, count - 1) * dim;
    Float16 scores[tile_rows];
    score_tile(tile, panel, norms, dim, scores);
    for (int64_t r = 0; r < std::min(tile_rows, count - first); ++r)
      minima[first + r].offer(scores[r], index);
  }
}

RETORT_CLONES void score_row(const float* row, int64_t dim, const float* panel, const float* norms,
                             float* scores) {
  Float16 sum, weights;
  load(norms, sum);
  for (int64_t j = 0; j < dim; ++j) {
    load(panel + j * PackedCentroids::panel_width, weights);
    sum += row[j] * weights;
  }
  std::memcpy(scores, &sum, sizeof sum);
}

RETORT_CLONES void subtract_mean(const float* rows, int64_t count, int64_t dim, const float* mean,
                                 float* centred) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < dim; ++j) centred[i * dim + j] = rows[i * dim + j] - mean[j];
}

}  // namespace

CentredCentroids::CentredCentroids(const Matrix& centroids)
    : mean(static_cast<size_t>(centroids.columns())),
      centred(centroids.rows(), centroids.columns()),
      norms(static_cast<size_t>(centroids.rows())) {
  for (int64_t j = 0; j < centroids.columns(); ++j) {
    double sum = 0;
    for (int64_t k = 0; k < centroids.rows(); ++k) sum += static_cast<double>(centroids(k, j));
    mean[static_cast<size_t>(j)] = static_cast<float>(sum / static_cast<double>(centroids.rows()));
  }
  for (int64_t k = 0; k < centroids.rows(); ++k) {
    double norm = 0;
    for (int64_t j = 0; j < centroids.columns(); ++j) {
      const float value = centroids(k, j) - mean[static_cast<size_t>(j)];
      centred(k, j) = value;
      norm += static_cast<double>(value) * static_cast<double>(value);
    }
    norms[static_cast<size_t>(k)] = static_cast<float>(norm);
    largest_norm = std::max(largest_norm, std::sqrt(norm));
  }
}

PackedCentroids::PackedCentroids(const CentredCentroids& centroids)
    : dim_(centroids.centred.columns()),
      clusters_(centroids.centred.rows()),
      panels_((clusters_ + panel_width - 1) / panel_width),
      mean_(centroids.mean),
      weights_(static_cast<size_t>(panels_ * dim_ * panel_width)),
      norms_(static_cast<size_t>(panels_ * panel_width), std::numeric_limits<float>::infinity()) {
  for (int64_t k = 0; k < clusters_; ++k) {
    float* panel = weights_.data() + (k / panel_width) * dim_ * panel_width + k % panel_width;
    for (int64_t j = 0; j < dim_; ++j) panel[j * panel_width] = -2 * centroids.centred(k, j);
    norms_[static_cast<size_t>(k)] = centroids.norms[static_cast<size_t>(k)];
  }
}

void PackedCentroids::centre(const float* rows, int64_t count, std::vector<float>& centred) const {
  centred.resize(static_cast<size_t>(count * dim_));
  subtract_mean(rows, count, dim_, mean_.data(), centred.data());
}

void PackedCentroids::search(const float* rows, int64_t count, Nearest* nearest) const {
  std::vector<float> centred;
  for (int64_t first = 0; first < count; first += block_rows) {
    const int64_t size = std::min(block_rows, count - first);
    centre(rows + first * dim_, size, centred);
    std::vector<LaneMinima> minima(static_cast<size_t>(size));
    for (int64_t p = 0; p < panels_; ++p)
      search_panel(centred.data(), size, dim_, panel(p), panel_norms(p), static_cast<int32_t>(p),
                   minima.data());
    for (int64_t i = 0; i < size; ++i) nearest[first + i] = minima[static_cast<size_t>(i)].nearest();
  }
}

void PackedCentroids::scores(const float* row, float* scores) const {
  std::vector<float> centred;
  centre(row, 1, centred);
  for (int64_t p = 0; p < panels_; ++p)
    score_row(centred.data(), dim_, panel(p), panel_norms(p), scores + p * panel_width);
}

}  // namespace retort
