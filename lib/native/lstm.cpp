#include "native/lstm.h"

#include <numeric>

namespace retort {
namespace {

constexpr int64_t gates_per_unit = 4;
constexpr std::size_t utterances_in_step = 8;  // as many rows as a product's kernels take at once

}  // namespace

Lstm::Lstm(const ModelConfig& config, WeightTable& weights, const NetworkPrecision& precision)
    : hidden_(config.hidden), units_(config.lstm_hidden) {
  int64_t in = config.block_input();
  for (int layer = 0; layer < config.layers; ++layer) {
    std::vector<Direction>& directions = layers_.emplace_back();
    for (const char* suffix : {"", "_reverse"}) {
      if (*suffix != 0 && !config.bidirectional) break;
      const auto take = [&](const char* part) {
        return weights.take(fmt::format("encoder.lstm.{}.{}{}", layer, part, suffix));
      };
      std::vector<float> bias = take("bias_ih");
      const std::vector<float> more = take("bias_hh");
      for (size_t i = 0; i < bias.size(); ++i) bias[i] += more[i];
      const int64_t gates = gates_per_unit * units_;
      directions.push_back({Linear(take("weight_ih").data(), in, gates, std::move(bias), precision.weights),
                            Linear(take("weight_hh").data(), units_, gates, {}, precision.others)});
    }
    in = hidden_;
  }
}

std::vector<Lstm::Group> Lstm::groups_of(const Packing& packing) {
  Group order(packing.utterances());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return packing.length(a) > packing.length(b); });
  std::vector<Group> groups;
  for (std::size_t first = 0; first < order.size(); first += utterances_in_step)
    groups.emplace_back(
        order.begin() + static_cast<long>(first),
        order.begin() + static_cast<long>(std::min(order.size(), first + utterances_in_step)));
  return groups;
}

void Lstm::run(const Compute& compute, const Packing& packing, const RowSpan& x, int layers,
               const Output& output, LstmState* state) const {
  const std::vector<Group> groups = groups_of(packing);
  RowSpan in = x;
  PackedRows outputs[2];
  for (int index = 0; index < layers; ++index) {
    const std::vector<Direction>& directions = layers_[static_cast<size_t>(index)];
    const auto count = static_cast<int64_t>(directions.size());
    PackedRows gates(compute.memory, packing.rows(), count * gates_per_unit * units_);
    compute.for_each_run(packing.rows(), [&](int64_t first, int64_t rows) {
      for (int64_t d = 0; d < count; ++d)
        directions[static_cast<size_t>(d)].input.apply(
            compute.path, in.rows(first, rows), gates.rows(first, rows).columns(d * gates_per_unit * units_));
    });
    outputs[index % 2] = PackedRows(compute.memory, packing.rows(), hidden_);
    const RowSpan out = outputs[index % 2].all();
    compute.team.run(groups.size() * directions.size(), [&](std::size_t task) {
      const std::size_t d = task % directions.size();
      const auto column = static_cast<int64_t>(d) * units_;
      recur(compute, directions[d], d == 1, packing, groups[task / directions.size()],
            gates.all().columns(column * gates_per_unit), out.columns(column),
            state ? &state->layers[static_cast<size_t>(index)] : nullptr);
    });
    output(index + 1, out);
    in = out;
  }
}

void Lstm::recur(const Compute& compute, const Direction& direction, bool backwards, const Packing& packing,
                 const Group& group, const RowSpan& gates, const RowSpan& out,
                 LstmState::Layer* state) const {
  const int64_t width = gates_per_unit * units_;
  PackedRows cells(compute.memory, static_cast<int64_t>(group.size()), units_);
  PackedRows last(compute.memory, static_cast<int64_t>(group.size()), units_);
  PackedRows sums(compute.memory, static_cast<int64_t>(group.size()), width);
  std::fill_n(cells.all().values, cells.count() * units_, 0.0f);
  std::fill_n(last.all().values, last.count() * units_, 0.0f);
  if (state) {
    std::copy(state->cells.begin(), state->cells.end(), cells.all().values);
    std::copy(state->last.begin(), state->last.end(), last.all().values);
  }
  auto active = static_cast<int64_t>(group.size());
  for (int64_t step = 0; step < packing.length(group.front()); ++step) {
    while (packing.length(group[static_cast<size_t>(active - 1)]) <= step) --active;
    direction.recurrent.apply(compute.path, last.rows(0, active), sums.rows(0, active));
    for (int64_t i = 0; i < active; ++i) {
      const std::size_t utterance = group[static_cast<size_t>(i)];
      const int64_t frame = backwards ? packing.length(utterance) - 1 - step : step;
      const int64_t row = packing.begin(utterance) + frame;
      float* sum = sums.all().row(i);
      const float* input = gates.row(row);
      for (int64_t g = 0; g < width; ++g) sum[g] += input[g];
      step_lstm_cells(compute.path, sum, units_, cells.all().row(i), last.all().row(i));
      std::copy_n(last.all().row(i), units_, out.row(row));
    }
  }
  if (state) {
    std::copy_n(cells.all().values, units_, state->cells.begin());
    std::copy_n(last.all().values, units_, state->last.begin());
  }
}

LstmState Lstm::start() const {
  const std::vector<float> zeros(static_cast<size_t>(units_));
  LstmState state;
  state.layers.assign(layers_.size(), {zeros, zeros});
  return state;
}

}  // namespace retort
