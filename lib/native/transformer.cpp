#include "native/transformer.h"

#include <cmath>

namespace retort {
namespace {

// Queries whose logits are in the caches together.
constexpr int64_t queries_at_once = 64;
constexpr int64_t gate_values = 8;  // of a head, four for each of two gates

RowSpan scratch(std::vector<float>& memory, int64_t rows, int64_t width) {
  if (memory.size() < static_cast<size_t>(rows * width)) memory.resize(static_cast<size_t>(rows * width));
  return {memory.data(), width, rows};
}

float sigmoid(float x) {
  return 1 / (1 + std::exp(-x));
}

void scale(std::vector<float>& values, size_t count, float factor) {
  for (size_t i = 0; i < count; ++i) values[i] *= factor;
}

}  // namespace

Transformer::Transformer(const ModelConfig& config, WeightTable& weights, Precision precision)
    : hidden_(config.hidden),
      heads_(config.heads),
      ffn_(config.ffn),
      pre_norm_(config.pre_norm),
      eps_(config.norm_eps),
      relative_(config, weights) {
  blocks_.resize(static_cast<size_t>(config.layers));
  std::map<std::string, int> in_order_of_name;
  for (int i = 0; i < config.layers; ++i) in_order_of_name[std::to_string(i)] = i;
  for (const auto& [name, i] : in_order_of_name)
    blocks_[static_cast<size_t>(i)] = make_block(i, weights, precision);
}

Transformer::Block Transformer::make_block(int index, WeightTable& weights, Precision precision) const {
  const std::string name = fmt::format("encoder.layers.{}", index);
  const std::string attention = name + ".attention";
  Block block;
  std::vector<float> weight = weights.take(attention + ".q_proj.weight");
  std::vector<float> bias = weights.take(attention + ".q_proj.bias");
  const int64_t head_size = hidden_ / heads_;
  const float query_scale = 1 / std::sqrt(static_cast<float>(head_size));
  scale(weight, weight.size(), query_scale);
  scale(bias, bias.size(), query_scale);
  for (const char* part : {".k_proj", ".v_proj"}) {
    const std::vector<float> more = weights.take(attention + part + ".weight");
    const std::vector<float> more_bias = weights.take(attention + part + ".bias");
    weight.insert(weight.end(), more.begin(), more.end());
    bias.insert(bias.end(), more_bias.begin(), more_bias.end());
  }
  const auto columns = static_cast<int64_t>(bias.size());
  block.map_and_value = Linear(weight.data(), hidden_, columns, std::move(bias), precision);
  block.out = Linear(weights, attention + ".out_proj", hidden_, precision);
  block.attention_norm = Norm(weights, name + ".layer_norm", eps_);
  block.up = Linear(weights, name + ".feed_forward.intermediate_dense", hidden_, precision);
  block.down = Linear(weights, name + ".feed_forward.output_dense", ffn_, precision);
  block.final_norm = Norm(weights, name + ".final_layer_norm", eps_);
  block.gate = {weights.take(attention + ".gru_rel_pos_linear.weight"),
                weights.take(attention + ".gru_rel_pos_linear.bias"),
                weights.take(attention + ".gru_rel_pos_const")};
  return block;
}

void Transformer::run(const Compute& compute, const Packing& packing, const RowSpan& x, int blocks,
                      const Output& output) const {
  if (blocks == 0 || packing.rows() == 0) return;
  State state;
  state.query_key_value = PackedRows(compute.memory, packing.rows(), 3 * hidden_);
  state.mixed = PackedRows(compute.memory, packing.rows(), hidden_);
  if (!relative_.empty()) {
    state.gates = PackedRows(compute.memory, packing.rows(), heads_);
    state.biases = relative_.biases(packing.longest());
  }
  compute.for_each_run(packing.rows(), [&](int64_t first, int64_t count) {
    project(compute, blocks_.front(), x.rows(first, count), first, state);
  });
  const auto heads = static_cast<std::size_t>(heads_);
  for (int index = 0; index < blocks; ++index) {
    compute.team.run(packing.utterances() * heads,
                     [&](std::size_t task) { attend(compute, packing, task / heads, task % heads, state); });
    compute.for_each_run(packing.rows(), [&](int64_t first, int64_t count) {
      const RowSpan rows = x.rows(first, count);
      finish(compute, blocks_[static_cast<size_t>(index)], rows, state.mixed.rows(first, count));
      output(index + 1, first, rows);
      if (index + 1 < blocks) project(compute, blocks_[static_cast<size_t>(index) + 1], rows, first, state);
    });
  }
}

void Transformer::project(const Compute& compute, const Block& block, const RowSpan& x, int64_t first,
                          State& state) const {
  static thread_local std::vector<float> memory;
  RowSpan input = x;
  if (pre_norm_) {
    input = scratch(memory, x.count, hidden_);
    block.attention_norm.apply(compute.path, x, input);
  }
  // Where a block has no map of its own, query and key of the block before it stay.
  const int64_t kept = 3 * hidden_ - block.map_and_value.out();
  block.map_and_value.apply(compute.path, input, state.query_key_value.rows(first, x.count).columns(kept));
  if (!relative_.empty()) compute_gates(block.gate, input, state.gates.rows(first, x.count));
}

// WavLM (Chen et al. 2022, section 3.1): the bias of a query and a key is scaled by 2 + r (u c - 1), with
// gates r and u of the query's own input and a constant c per head.
void Transformer::compute_gates(const Gate& gate, const RowSpan& x, const RowSpan& gates) const {
  const int64_t size = hidden_ / heads_;
  for (int64_t r = 0; r < x.count; ++r) {
    for (int64_t head = 0; head < heads_; ++head) {
      const float* input = x.row(r) + head * size;
      float sums[2] = {};
      for (int64_t v = 0; v < gate_values; ++v) {
        float sum = gate.bias[static_cast<size_t>(v)];
        for (int64_t i = 0; i < size; ++i) sum += input[i] * gate.weight[static_cast<size_t>(v * size + i)];
        sums[v / (gate_values / 2)] += sum;
      }
      const float constant = gate.constant[static_cast<size_t>(head)];
      gates.row(r)[head] = 2 + sigmoid(sums[0]) * (sigmoid(sums[1]) * constant - 1);
    }
  }
}

void Transformer::attend(const Compute& compute, const Packing& packing, std::size_t utterance,
                         std::size_t head, State& state) const {
  static thread_local std::vector<std::byte> packed;
  static thread_local std::vector<float> memory;
  const int64_t size = hidden_ / heads_;
  const int64_t frames = packing.length(utterance);
  const int64_t begin = packing.begin(utterance);
  const int64_t column = static_cast<int64_t>(head) * size;
  const RowSpan query = state.query_key_value.rows(begin, frames).columns(column);
  const RowSpan key = query.columns(hidden_);
  const RowSpan value = key.columns(hidden_);

  const auto key_bytes = panel_bytes(size, frames, compute.precision.others);
  packed.resize(static_cast<size_t>(key_bytes + panel_bytes(frames, size, compute.precision.others)));
  const Panels keys =
      pack_panels(key.values, key.stride, 1, size, frames, compute.precision.others, packed.data());
  const Panels values = pack_panels(value.values, 1, value.stride, frames, size, compute.precision.others,
                                    packed.data() + key_bytes);
  const RowSpan all_logits = scratch(memory, queries_at_once, frames);
  for (int64_t first = 0; first < frames; first += queries_at_once) {
    const int64_t count = std::min(queries_at_once, frames - first);
    const RowSpan logits = all_logits.rows(0, count);
    Product product;
    product.rows = query.row(first);
    product.row_stride = query.stride;
    product.count = count;
    product.out = logits.values;
    product.out_stride = logits.stride;
    multiply(compute.path, keys, product);
    if (!relative_.empty())
      add_biases(state, head, packing.longest(), first, state.gates.rows(begin + first, count), logits,
                 frames);
    softmax_rows(compute.path, logits.values, logits.stride, count, frames);
    const RowSpan mixed = state.mixed.rows(begin + first, count).columns(column);
    product.rows = logits.values;
    product.row_stride = logits.stride;
    product.out = mixed.values;
    product.out_stride = mixed.stride;
    multiply(compute.path, values, product);
  }
}

void Transformer::add_biases(const State& state, std::size_t head, int64_t longest, int64_t first_query,
                             const RowSpan& gates, const RowSpan& logits, int64_t keys) const {
  for (int64_t q = 0; q < logits.count; ++q) {
    const float gate = gates.row(q)[head];
    const float* biases = state.biases[head].data() + longest - 1 - (first_query + q);
    float* row = logits.row(q);
    for (int64_t k = 0; k < keys; ++k) row[k] += gate * biases[k];
  }
}

void Transformer::finish(const Compute& compute, const Block& block, const RowSpan& x,
                         const RowSpan& mixed) const {
  static thread_local std::vector<float> normed_memory, inner_memory;
  const CpuPath path = compute.path;
  block.out.apply(path, mixed, x, {false, x});
  RowSpan input = x;
  if (pre_norm_) {
    input = scratch(normed_memory, x.count, hidden_);
    block.final_norm.apply(path, x, input);
  } else {
    block.attention_norm.apply(path, x, x);
  }
  const RowSpan inner = scratch(inner_memory, x.count, ffn_);
  block.up.apply(path, input, inner, {true, {}});
  block.down.apply(path, inner, x, {false, x});
  if (!pre_norm_) block.final_norm.apply(path, x, x);
}

}  // namespace retort
