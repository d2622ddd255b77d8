#include "native/linear.h"

namespace retort {

std::vector<float> WeightTable::take(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return {};
  std::vector<float> values = std::move(found->second.values);
  tensors_.erase(found);
  return values;
}

Linear::Linear(WeightTable& weights, const std::string& name, int64_t in, Precision precision)
    : Linear(weights, std::vector<std::string>{name}, in, precision) {}

Linear::Linear(WeightTable& weights, const std::vector<std::string>& names, int64_t in, Precision precision) {
  std::vector<float> all;
  for (const std::string& name : names) {
    const std::vector<float> weight = weights.take(name + ".weight");
    const std::vector<float> bias = weights.take(name + ".bias");
    all.insert(all.end(), weight.begin(), weight.end());
    bias_.insert(bias_.end(), bias.begin(), bias.end());
  }
  matrix_ = PackedMatrix(all.data(), in, static_cast<int64_t>(all.size()) / in, precision);
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
