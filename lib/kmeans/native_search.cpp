#include "kmeans/native_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/simd.h"
#include "kmeans/exact_distance.h"

namespace retort {
namespace {

// Squared lengths outside of this may overflow, or lose what is too small for a float: scores say nothing.
constexpr double largest_square = 1e37;
constexpr double smallest_square = 1e-25;

// Room for the roundings of a square root and of a conversion to float, and far more than those of the f64
// distances that decide.
constexpr double round_up = 1 + 0x1.0p-20;
constexpr double round_down = 1 - 0x1.0p-20;

float upper_distance(double square) {
  return static_cast<float>(std::sqrt(std::max(square, 0.0)) * round_up);
}

float lower_distance(double square) {
  return static_cast<float>(std::sqrt(std::max(square, 0.0)) * round_down);
}

constexpr int64_t lowers_step = 8;

}  // namespace

int64_t lowers_stride(int64_t panels) {
  return (panels + lowers_step - 1) / lowers_step * lowers_step;
}

RETORT_CLONES float shift_lowers(float* lowers, const float* drifts, int64_t stride) {
  Float8 least = Float8{} + std::numeric_limits<float>::infinity();
  for (int64_t p = 0; p < stride; p += lowers_step) {
    Float8 lower, drift;
    std::memcpy(&lower, lowers + p, sizeof lower);
    std::memcpy(&drift, drifts + p, sizeof drift);
    lower = (lower - drift) * (1 - 0x1.0p-22f);
    lower = lower > 0 ? lower : Float8{};
    least = lower < least ? lower : least;
    std::memcpy(lowers + p, &lower, sizeof lower);
  }
  float result = least[0];
  for (int lane = 1; lane < lowers_step; ++lane) result = std::min(result, least[lane]);
  return result;
}

NativeSearch::NativeSearch(const PanelledCentroids& centroids)
    : centroids_(centroids),
      f32_factor_(f32_error_factor(centroids.dim()) + column_error),
      block_(block_rows),
      centred_(static_cast<size_t>(block_rows * centroids.dim())),
      rounded_(centroids.has_bf16() ? static_cast<size_t>(block_rows * 2 * centroids.pairs()) : 0),
      chosen_(static_cast<size_t>(centroids.panels())),
      lowest_(static_cast<size_t>(block_rows * centroids.panels())),
      second_(lowest_.size()),
      pointers_(block_rows),
      rounded_pointers_(block_rows),
      minima_(block_rows) {}

void NativeSearch::search(const float* rows, int64_t count, FrameBounds* bounds) {
  for (std::vector<int32_t>& panel : chosen_) panel.clear();
  std::vector<bool> undecided(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Row& row = block_[static_cast<size_t>(i)] = prepare(i, rows + i * centroids_.dim());
    if (!trusts(row)) {
      const Winner winner = exactly_among_all(row);
      bounds[i].label = winner.label;
      bounds[i].upper = std::numeric_limits<float>::infinity();
      if (bounds[i].lowers) std::fill_n(bounds[i].lowers, centroids_.panels(), 0.0f);
      continue;
    }
    if (keeps_label(row, i, bounds[i])) continue;
    choose_panels(i, row, bounds[i]);
    undecided[static_cast<size_t>(i)] = true;
  }
  score_chosen();
  for (int64_t i = 0; i < count; ++i) {
    if (!undecided[static_cast<size_t>(i)]) continue;
    const Row& row = block_[static_cast<size_t>(i)];
    take(i, row, decide(i, row, bounds[i]), bounds[i]);
  }
}

NativeSearch::Row NativeSearch::prepare(int64_t index, const float* values) {
  const int64_t dim = centroids_.dim();
  float* centred = centred_.data() + index * dim;
  Row row{};
  row.values = values;
  row.own_panel = -1;
  row.square = static_cast<double>(centroids_.kernels().centre(values, centroids_.mean(), dim, centred));
  const double length = std::sqrt(row.square) * (1 + f32_factor_);
  const double reach = length + centroids_.largest_norm();
  row.f32_error = f32_factor_ * reach * reach;
  row.screen_error = row.f32_error;
  if (centroids_.has_bf16()) {
    const float lost =
        centroids_.kernels().round_bf16(centred, dim, rounded_.data() + index * 2 * centroids_.pairs());
    const double rounding = std::sqrt(static_cast<double>(lost)) * (1 + f32_factor_);
    row.screen_error += 2 * round_up *
                        (rounding * centroids_.largest_norm() +
                         (length + rounding) * centroids_.largest_rounding() * (1 + f32_factor_));
  }
  return row;
}

bool NativeSearch::trusts(const Row& row) const {
  const double square = row.f32_error / f32_factor_;
  return square > smallest_square && square < largest_square;  // not if it is not a number
}

// Holds its own centroid, the only one that can be near, against the bounds of all others.
bool NativeSearch::keeps_label(Row& row, int64_t index, FrameBounds& bounds) const {
  if (bounds.label < 0 || !bounds.lowers) return false;
  const float product =
      centroids_.kernels().dot(centred(index), centroids_.centred(bounds.label), centroids_.dim());
  row.own_panel = centroids_.panel_of(bounds.label);
  row.own_score = static_cast<double>(centroids_.norm(bounds.label)) - 2 * static_cast<double>(product);
  bounds.upper = upper_distance(row.square + row.own_score + 2 * row.f32_error);
  return bounds.upper < *std::min_element(bounds.lowers, bounds.lowers + centroids_.panels());
}

void NativeSearch::choose_panels(int64_t index, Row& row, const FrameBounds& bounds) {
  for (int64_t p = 0; p < centroids_.panels(); ++p) {
    if (bounds.lowers && bounds.upper < bounds.lowers[p]) {
      lowest(index, p) = padding_norm;
      second(index, p) = padding_norm;
      row.own_apart = row.own_apart || p == row.own_panel;
    } else {
      chosen_[static_cast<size_t>(p)].push_back(static_cast<int32_t>(index));
    }
  }
}

void NativeSearch::score_chosen() {
  for (int64_t p = 0; p < centroids_.panels(); ++p) {
    const std::vector<int32_t>& rows = chosen_[static_cast<size_t>(p)];
    const auto count = static_cast<int64_t>(rows.size());
    if (centroids_.has_bf16()) {
      for (size_t i = 0; i < rows.size(); ++i)
        rounded_pointers_[i] = rounded_.data() + rows[i] * 2 * centroids_.pairs();
      centroids_.kernels().minima_bf16(rounded_pointers_.data(), count, centroids_.weights_bf16(p),
                                       centroids_.norms(p), centroids_.pairs(), minima_.data());
    } else {
      for (size_t i = 0; i < rows.size(); ++i) pointers_[i] = centred(rows[i]);
      centroids_.kernels().minima(pointers_.data(), count, centroids_.weights(p), centroids_.norms(p),
                                  centroids_.dim(), minima_.data());
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      lowest(rows[i], p) = minima_[i].lowest;
      second(rows[i], p) = minima_[i].second;
    }
  }
}

NativeSearch::Winner NativeSearch::decide(int64_t index, const Row& row, const FrameBounds& bounds) {
  const float* lowest_scores = &lowest(index, 0);
  const float* best = std::min_element(lowest_scores, lowest_scores + centroids_.panels());
  const int64_t panel = best - lowest_scores;
  const double least =
      row.own_apart ? std::min(static_cast<double>(*best), row.own_score) : static_cast<double>(*best);
  const double limit = least + 2 * row.screen_error;
  int contenders = row.own_apart && row.own_score <= limit;
  for (int64_t p = 0; p < centroids_.panels(); ++p)
    contenders +=
        (static_cast<double>(lowest(index, p)) <= limit) + (static_cast<double>(second(index, p)) <= limit);
  if (contenders > 1) return refine(index, row, row.own_apart ? bounds.label : -1, limit);
  if (row.own_apart && row.own_score <= limit)
    return {bounds.label, row.square + row.own_score + 2 * row.f32_error};
  const auto column = static_cast<size_t>(column_of(*best));
  return {centroids_.members(panel)[column], row.square + least + row.screen_error + row.f32_error};
}

// Scores the panels whose lowest is within `limit` again in f32, and settles in f64 what is left open. `own`
// is a centroid in none of the scored panels, or -1.
NativeSearch::Winner NativeSearch::refine(int64_t index, const Row& row, int32_t own, double limit) {
  scored_.clear();
  if (own >= 0) scored_.emplace_back(own, row.own_score);
  float scores[panel_width];
  for (int64_t p = 0; p < centroids_.panels(); ++p) {
    if (static_cast<double>(lowest(index, p)) > limit) continue;
    centroids_.kernels().scores(centred(index), centroids_.weights(p), centroids_.norms(p), centroids_.dim(),
                                scores);
    const std::span<const int32_t> members = centroids_.members(p);
    for (size_t column = 0; column < members.size(); ++column)
      scored_.emplace_back(members[column], static_cast<double>(scores[column]));
  }
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [label, score] : scored_) least = std::min(least, score);
  candidates_.clear();
  for (const auto& [label, score] : scored_)
    if (score <= least + 2 * row.f32_error) candidates_.push_back(label);
  if (candidates_.size() == 1) return {candidates_.front(), row.square + least + 2 * row.f32_error};
  return exactly_among(row, candidates_);
}

NativeSearch::Winner NativeSearch::exactly_among(const Row& row,
                                                 const std::vector<int32_t>& candidates) const {
  Winner best{-1, std::numeric_limits<double>::infinity()};
  for (const int32_t k : candidates) {
    const double distance =
        squared_distance(row.values, centroids_.centroids().row(k).data(), centroids_.dim());
    if (best.label < 0 || distance < best.most || (distance == best.most && k < best.label))
      best = {k, distance};
  }
  return best;
}

NativeSearch::Winner NativeSearch::exactly_among_all(const Row& row) const {
  Winner best{-1, std::numeric_limits<double>::infinity()};
  for (int32_t k = 0; k < centroids_.clusters(); ++k) {
    const double distance =
        squared_distance(row.values, centroids_.centroids().row(k).data(), centroids_.dim());
    if (best.label < 0 || distance < best.most) best = {k, distance};
  }
  return best;
}

void NativeSearch::take(int64_t index, const Row& row, const Winner& winner, FrameBounds& bounds) {
  const double error = row.screen_error + row.f32_error;
  const int64_t winning_panel = centroids_.panel_of(winner.label);
  if (bounds.lowers) {
    for (int64_t p = 0; p < centroids_.panels(); ++p) {
      const float score = lowest(index, p);
      if (score >= padding_norm) continue;  // was ruled out: its bound still holds
      // In the winner's panel the winner itself does not count.
      const bool winner_is_lowest =
          p == winning_panel && centroids_.members(p)[static_cast<size_t>(column_of(score))] == winner.label;
      const float other = winner_is_lowest ? second(index, p) : score;
      bounds.lowers[p] = lower_distance(row.square + static_cast<double>(other) - error);
    }
    // The centroid that it leaves is one of the others from now on.
    if (row.own_apart && winner.label != bounds.label)
      bounds.lowers[row.own_panel] = std::min(bounds.lowers[row.own_panel],
                                              lower_distance(row.square + row.own_score - 2 * row.f32_error));
  }
  bounds.label = winner.label;
  bounds.upper = upper_distance(winner.most);
}

}  // namespace retort
