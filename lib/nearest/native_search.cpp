#include "nearest/native_search.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/exact_distance.h"
#include "kernels/simd.h"

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

// Rows come from far away in memory, and not always one after the other.
void prefetch(const float* row, int64_t dim) {
  constexpr int64_t cache_line = 64 / sizeof(float);
  for (int64_t j = 0; j < dim; j += cache_line) __builtin_prefetch(row + j);
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
      of_panel_(static_cast<size_t>(centroids.panels())),
      pointers_(block_rows),
      rounded_pointers_(block_rows),
      minima_(block_rows) {}

int64_t NativeSearch::bytes(int64_t clusters, int64_t dim) {
  const int64_t panels = (clusters + panel_width - 1) / panel_width;
  const int64_t of_value = 2 * sizeof(float) + sizeof(uint16_t);
  return block_rows * (of_value * dim + 2 * panels * static_cast<int64_t>(sizeof(Pair) + sizeof(int32_t)));
}

void NativeSearch::search(const float* const* rows, int64_t count, FrameBounds* bounds) {
  pairs_.clear();
  for (std::vector<int32_t>& pairs : of_panel_) pairs.clear();
  for (int64_t i = 0; i < count; ++i) {
    if (i + 1 < count) prefetch(rows[i + 1], centroids_.dim());
    Row& row = block_[static_cast<size_t>(i)] = prepare(i, rows[i]);
    if (!trusts(row))
      label_exactly(row, bounds[i]);
    else if (!keeps_label(row, i, bounds[i]))
      choose_panels(i, row, bounds[i]);
  }
  score_pairs();
  for (int64_t i = 0; i < count; ++i) {
    const Row& row = block_[static_cast<size_t>(i)];
    if (row.pairs > 0) take(row, decide(i, row, bounds[i]), bounds[i]);
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

double NativeSearch::f32_score(int64_t index, int32_t centroid) const {
  const float product =
      centroids_.kernels().dot(centred(index), centroids_.centred(centroid), centroids_.dim());
  return static_cast<double>(centroids_.norm(centroid)) - 2 * static_cast<double>(product);
}

bool NativeSearch::trusts(const Row& row) const {
  const double square = row.f32_error / f32_factor_;
  return square > smallest_square && square < largest_square;  // not if it is not a number
}

// Holds its own centroid, the only one that can be near, against the bounds of all others.
bool NativeSearch::keeps_label(Row& row, int64_t index, FrameBounds& bounds) const {
  if (bounds.label < 0 || !bounds.lowers) return false;
  row.own_panel = centroids_.panel_of(bounds.label);
  row.own_score = f32_score(index, bounds.label);
  bounds.upper = upper_distance(row.square + row.own_score + 2 * row.f32_error);
  return bounds.upper < bounds.least;
}

void NativeSearch::label_exactly(const Row& row, FrameBounds& bounds) const {
  bounds.label = nearest_exactly(row.values, centroids_.centroids()).label;
  bounds.upper = std::numeric_limits<float>::infinity();
  if (bounds.lowers) std::fill_n(bounds.lowers, centroids_.panels(), 0.0f);
}

void NativeSearch::choose_panels(int64_t index, Row& row, const FrameBounds& bounds) {
  row.first_pair = pairs_.size();
  row.own_apart = row.own_panel >= 0;
  for (int64_t p = 0; p < centroids_.panels(); ++p) {
    if (bounds.lowers && bounds.upper < bounds.lowers[p]) continue;
    of_panel_[static_cast<size_t>(p)].push_back(static_cast<int32_t>(pairs_.size()));
    pairs_.push_back({static_cast<int32_t>(index), static_cast<int32_t>(p), {}});
    row.own_apart = row.own_apart && p != row.own_panel;
  }
  row.pairs = pairs_.size() - row.first_pair;
}

void NativeSearch::score_pairs() {
  for (int64_t p = 0; p < centroids_.panels(); ++p) {
    const std::vector<int32_t>& pairs = of_panel_[static_cast<size_t>(p)];
    const auto count = static_cast<int64_t>(pairs.size());
    const auto row_of = [&](size_t i) { return pairs_[static_cast<size_t>(pairs[i])].row; };
    if (centroids_.has_bf16()) {
      for (size_t i = 0; i < pairs.size(); ++i)
        rounded_pointers_[i] = rounded_.data() + row_of(i) * 2 * centroids_.pairs();
      centroids_.kernels().minima_bf16(rounded_pointers_.data(), count, centroids_.weights_bf16(p),
                                       centroids_.norms(p), centroids_.pairs(), minima_.data());
    } else {
      for (size_t i = 0; i < pairs.size(); ++i) pointers_[i] = centred(row_of(i));
      centroids_.kernels().minima(pointers_.data(), count, centroids_.weights(p), centroids_.norms(p),
                                  centroids_.dim(), minima_.data());
    }
    for (size_t i = 0; i < pairs.size(); ++i) pairs_[static_cast<size_t>(pairs[i])].minima = minima_[i];
  }
}

std::span<const NativeSearch::Pair> NativeSearch::pairs_of(const Row& row) const {
  return std::span(pairs_).subspan(row.first_pair, row.pairs);
}

NativeSearch::Winner NativeSearch::decide(int64_t index, const Row& row, const FrameBounds& bounds) {
  const std::span<const Pair> pairs = pairs_of(row);
  const Pair* best = pairs.data();
  for (const Pair& pair : pairs)
    if (pair.minima.lowest < best->minima.lowest) best = &pair;
  const auto lowest = static_cast<double>(best->minima.lowest);
  const double limit = (row.own_apart ? std::min(lowest, row.own_score) : lowest) + 2 * row.screen_error;
  const bool own_is_left = row.own_apart && row.own_score <= limit;
  int left = own_is_left ? 1 : 0;
  for (const Pair& pair : pairs)
    left += (static_cast<double>(pair.minima.lowest) <= limit ? 1 : 0) +
            (static_cast<double>(pair.minima.second) <= limit ? 1 : 0);
  if (left > 1) return refine(index, row, own_is_left ? bounds.label : -1, limit);
  if (own_is_left) return {bounds.label, row.square + row.own_score + 2 * row.f32_error};
  return {label_of(best->panel, best->minima.lowest), row.square + lowest + row.screen_error + row.f32_error};
}

// Scores what may be within `limit` again in f32, and settles in f64 what is left open. `own`
// is a centroid in none of the scored panels, or -1.
NativeSearch::Winner NativeSearch::refine(int64_t index, const Row& row, int32_t own, double limit) {
  scored_.clear();
  if (own >= 0) scored_.emplace_back(own, row.own_score);
  float scores[panel_width];
  for (const Pair& pair : pairs_of(row)) {
    if (static_cast<double>(pair.minima.lowest) > limit) continue;
    if (static_cast<double>(pair.minima.second) > limit) {
      const int32_t label = label_of(pair.panel, pair.minima.lowest);
      scored_.emplace_back(label, f32_score(index, label));
      continue;
    }
    centroids_.kernels().scores(centred(index), centroids_.weights(pair.panel), centroids_.norms(pair.panel),
                                centroids_.dim(), scores);
    const std::span<const int32_t> members = centroids_.members(pair.panel);
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

int32_t NativeSearch::label_of(int64_t panel, float score) const {
  return centroids_.members(panel)[static_cast<size_t>(column_of(score))];
}

void NativeSearch::take(const Row& row, const Winner& winner, FrameBounds& bounds) const {
  if (bounds.lowers) {
    const int64_t winning_panel = centroids_.panel_of(winner.label);
    for (const Pair& pair : pairs_of(row)) {
      // In the winner's panel the winner itself does not count.
      const bool is_winner =
          pair.panel == winning_panel && label_of(pair.panel, pair.minima.lowest) == winner.label;
      const auto other = static_cast<double>(is_winner ? pair.minima.second : pair.minima.lowest);
      bounds.lowers[pair.panel] = lower_distance(row.square + other - (row.screen_error + row.f32_error));
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
