#include "native/heads.h"

#include "model/folded_weights.h"

namespace retort {
namespace {

Linear upsampler(WeightTable& weights, const std::string& name, int64_t hidden, int64_t factor,
                 Precision precision) {
  const std::vector<float> weight = weights.take(name + ".weight");
  LinearWeights linear = upsampler_as_linear(weight, weights.take(name + ".bias"), hidden, factor);
  return {linear.weight.data(), hidden, factor * hidden, std::move(linear.bias), precision};
}

}  // namespace

PredictionHeadOutputs::PredictionHeadOutputs(const ModelConfig& config, WeightTable& weights,
                                             Precision precision) {
  const PredictionHeads& heads = config.prediction;
  if (heads.kind == PredictionHeads::Kind::split) {
    split_ = true;
    const auto inner = static_cast<size_t>(heads.inner);
    const auto hidden = static_cast<size_t>(config.hidden);
    const auto dim = static_cast<size_t>(heads.dim);
    const std::vector<float> first = weights.take("heads.inner.weight");  // (heads * inner, hidden)
    const std::vector<float> first_bias = weights.take("heads.inner.bias");
    const std::vector<float> second = weights.take("heads.split.weight");  // (heads, inner, dim)
    const std::vector<float> second_bias = weights.take("heads.split.bias");
    for (size_t h = 0; h < heads.layers.size(); ++h) {
      const auto part = [](const std::vector<float>& all, size_t at, size_t count) {
        return std::vector<float>(all.begin() + static_cast<long>(at * count),
                                  all.begin() + static_cast<long>((at + 1) * count));
      };
      const std::vector<float> columns = transposed(second.data() + h * inner * dim, heads.inner, heads.dim);
      heads_.push_back(
          {Linear(first.data() + h * inner * hidden, config.hidden, heads.inner, part(first_bias, h, inner),
                  precision),
           Linear(columns.data(), heads.inner, heads.dim, part(second_bias, h, dim), precision)});
    }
  } else if (heads.kind == PredictionHeads::Kind::upsampled) {
    frames_per_row_ = config.time_reduction;
    for (const int layer : heads.layers) {
      const std::string name = fmt::format("heads.{}", layer);
      Head head;
      if (weights.has(name + ".upsampler.weight"))
        head.first = upsampler(weights, name + ".upsampler", config.hidden, frames_per_row_, precision);
      if (weights.has(name + ".projection.weight"))
        head.second = Linear(weights, name + ".projection", config.hidden, precision);
      heads_.push_back(std::move(head));
    }
  }
}

void PredictionHeadOutputs::apply(const Compute& compute, std::size_t index, const RowSpan& x,
                                  const RowSpan& out) const {
  static thread_local std::vector<float> memory;
  const Head& head = heads_[index];
  if (head.second.empty() || head.first.empty()) {
    const Linear& only = head.second.empty() ? head.first : head.second;
    only.apply(compute.path, x, {out.values, only.out(), x.count});
    return;
  }
  memory.resize(static_cast<size_t>(x.count * head.first.out()));
  head.first.apply(compute.path, x, {memory.data(), head.first.out(), x.count}, {split_, {}});
  const int64_t in = head.second.in();
  const RowSpan frames{memory.data(), in, x.count * head.first.out() / in};
  head.second.apply(compute.path, frames, {out.values, out.stride, frames.count});
}

}  // namespace retort
