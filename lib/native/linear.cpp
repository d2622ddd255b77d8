#include "native/linear.h"

namespace retort {

std::vector<float> WeightTable::take(const std::string& name) {
  if (!has(name)) return {};
  while (!passed_.contains(name)) {
    auto [next, tensor] = stream_.next();
    passed_[next] = std::move(tensor.values);
  }
  return std::move(passed_.extract(name).mapped());
}

std::string WeightTable::finish() {
  passed_.clear();
  while (!stream_.done()) stream_.next();
  return stream_.hash();
}

NetworkPrecision network_precision(CpuPath path, Precision precision) {
  if (precision != Precision::int8) return {precision, precision};
  return {precision, has_precision(path, Precision::bf16) ? Precision::bf16 : Precision::f32};
}

Linear::Linear(const float* weight, int64_t in, int64_t out, std::vector<float> bias, Precision precision,
               int64_t segment)
    : in_(in), out_(out), bias_(std::move(bias)) {
  if (precision == Precision::int8)
    quantised_ = QuantisedMatrix(weight, in, out, segment > 0 ? segment : in);
  else
    matrix_ = PackedMatrix(weight, in, out, precision);
}

Linear::Linear(WeightTable& weights, const std::string& name, int64_t in, Precision precision) {
  const std::vector<float> weight = weights.take(name + ".weight");
  *this = Linear(weight.data(), in, static_cast<int64_t>(weight.size()) / in, weights.take(name + ".bias"),
                 precision);
}

void Linear::apply(CpuPath path, const RowSpan& x, const RowSpan& y, const Then& then) const {
  Product product;
  product.rows = x.values;
  product.row_stride = x.stride;
  product.count = x.count;
  product.bias = bias_.empty() ? nullptr : bias_.data();
  product.gelu = then.gelu;
  product.residual = then.add.values;
  product.residual_stride = then.add.stride;
  product.out = y.values;
  product.out_stride = y.stride;
  if (quantised_.columns() > 0)
    multiply(path, quantised_, product);
  else
    multiply(path, matrix_.panels(), product);
}

Norm::Norm(WeightTable& weights, const std::string& name, double eps)
    : weight_(weights.take(name + ".weight")),
      bias_(weights.take(name + ".bias")),
      eps_(static_cast<float>(eps)) {}

void Norm::apply(CpuPath path, const RowSpan& x, const RowSpan& y, bool gelu) const {
  const LayerNorm norm{weight_.data(), bias_.data(), static_cast<int64_t>(weight_.size()), eps_};
  normalise_rows(path, norm, x.values, x.stride, x.count, gelu, y.values, y.stride);
}

}  // namespace retort
