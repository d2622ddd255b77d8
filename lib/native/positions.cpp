#include "native/positions.h"

#include <utility>

#include "model/folded_weights.h"
#include "model/norm_eps.h"
#include "model/relative_positions.h"

namespace retort {
PositionalConv::PositionalConv(const ModelConfig& config, WeightTable& weights, Precision precision)
    : form_(config.positional),
      hidden_(config.hidden),
      groups_(config.pos_groups),
      kernel_(config.pos_kernel) {
  const std::string name = "encoder.pos_conv_embed";
  switch (form_) {
    case PositionalForm::weight_norm:
      layers_.push_back(
          layer(weight_normed(weights.take(name + ".conv.weight_v"), weights.take(name + ".conv.weight_g")),
                weights.take(name + ".conv.bias"), precision));
      return;
    case PositionalForm::batch_norm: {
      const std::string norm = name + ".batch_norm";
      ScaleAndShift folded =
          folded_batch_norm(weights.take(norm + ".weight"), weights.take(norm + ".bias"),
                            weights.take(norm + ".running_mean"), weights.take(norm + ".running_var"));
      scale_ = std::move(folded.scale);
      shift_ = std::move(folded.shift);
      layers_.push_back(
          layer(weights.take(name + ".conv.weight"), weights.take(name + ".conv.bias"), precision));
      return;
    }
    case PositionalForm::stacked:
      for (int i = 0; i < config.pos_depth; ++i) {
        const std::string conv = fmt::format("{}.layers.{}.conv", name, i);
        layers_.push_back(layer(weights.take(conv + ".weight"), weights.take(conv + ".bias"), precision));
      }
      return;
  }
}

// weight is (hidden, hidden / groups, kernel).
PositionalConv::Layer PositionalConv::layer(std::vector<float> weight, std::vector<float> bias,
                                            Precision precision) const {
  const int64_t width = hidden_ / groups_;
  Layer layer;
  std::vector<float> columns(static_cast<size_t>(width * kernel_ * width));
  for (int64_t group = 0; group < groups_; ++group) {
    const float* from = weight.data() + group * width * width * kernel_;
    for (int64_t out = 0; out < width; ++out)
      for (int64_t in = 0; in < width; ++in)
        for (int64_t k = 0; k < kernel_; ++k)
          columns[static_cast<size_t>((out * kernel_ + k) * width + in)] =
              from[(out * width + in) * kernel_ + k];
    layer.groups.emplace_back(
        columns.data(), kernel_ * width, width,
        std::vector<float>(bias.begin() + group * width, bias.begin() + (group + 1) * width), precision);
  }
  return layer;
}

void PositionalConv::convolve(const Compute& compute, const Layer& layer, std::size_t group, const RowSpan& x,
                              const RowSpan& out, const Linear::Then& then) const {
  const int64_t width = hidden_ / groups_;
  const int64_t before = kernel_ / 2;  // frames of zeros; an even kernel sees one frame less after
  static thread_local std::vector<float> padded;
  padded.assign(static_cast<size_t>((x.count + kernel_ - 1) * width), 0);
  const auto first = static_cast<int64_t>(group) * width;
  for (int64_t t = 0; t < x.count; ++t) {
    float* to = padded.data() + (t + before) * width;
    const float* from = x.row(t) + first;
    for (int64_t c = 0; c < width; ++c)
      to[c] = scale_.empty()
                  ? from[c]
                  : from[c] * scale_[static_cast<size_t>(first + c)] + shift_[static_cast<size_t>(first + c)];
  }
  Linear::Then here = then;
  if (then.add.values) here.add = then.add.columns(first);
  layer.groups[group].apply(compute.path, {padded.data(), width, x.count}, out.columns(first), here);
}

void PositionalConv::run(const Compute& compute, const Layer& layer, const Packing& packing, const RowSpan& x,
                         const RowSpan& out, const RowSpan& add, bool gelu) const {
  const auto groups = static_cast<std::size_t>(groups_);
  compute.team.run(packing.utterances() * groups, [&](std::size_t task) {
    const std::size_t utterance = task / groups;
    const int64_t begin = packing.begin(utterance);
    const int64_t length = packing.length(utterance);
    Linear::Then then{gelu, {}};
    if (add.values) then.add = add.rows(begin, length);
    convolve(compute, layer, task % groups, x.rows(begin, length), out.rows(begin, length), then);
  });
}

// Each layer normalises what it made, without weights, and nothing but the last is added to.
void PositionalConv::run_stacked(const Compute& compute, const Packing& packing, const RowSpan& x,
                                 const RowSpan& out) const {
  PackedRows one(compute.memory, packing.rows(), hidden_), other(compute.memory, packing.rows(), hidden_);
  RowSpan from = x;
  RowSpan to = one.all();
  RowSpan next = other.all();
  const LayerNorm norm{nullptr, nullptr, hidden_, static_cast<float>(stacked_norm_eps)};
  for (const Layer& layer : layers_) {
    run(compute, layer, packing, from, to, {}, false);
    compute.for_each_run(packing.rows(), [&](int64_t first, int64_t count) {
      float* rows = to.row(first);
      normalise_rows(compute.path, norm, rows, to.stride, count, true, rows, to.stride);
    });
    from = to;
    std::swap(to, next);
  }
  for (int64_t r = 0; r < x.count; ++r)
    for (int64_t c = 0; c < hidden_; ++c) out.row(r)[c] = x.row(r)[c] + from.row(r)[c];
}

void PositionalConv::add_to(const Compute& compute, const Packing& packing, const RowSpan& x,
                            const RowSpan& out) const {
  if (form_ == PositionalForm::stacked)
    run_stacked(compute, packing, x, out);
  else
    run(compute, layers_.front(), packing, x, out, x, true);
}

RelativePositions::RelativePositions(const ModelConfig& config, WeightTable& weights)
    : config_(config), table_(weights.take("encoder.layers.0.attention.rel_attn_embed.weight")) {}

std::vector<std::vector<float>> RelativePositions::biases(int64_t frames) const {
  std::vector<std::vector<float>> by_head(static_cast<size_t>(config_.heads));
  for (int64_t distance = 1 - frames; distance < frames; ++distance) {
    const float* values = table_.data() + relative_bucket(config_, distance) * config_.heads;
    for (size_t head = 0; head < by_head.size(); ++head) by_head[head].push_back(values[head]);
  }
  return by_head;
}

}  // namespace retort
