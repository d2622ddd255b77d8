#include "model/folded_weights.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "model/norm_eps.h"

namespace retort {

std::vector<float> weight_normed(std::vector<float> v, const std::vector<float>& g) {
  std::vector<double> squares(g.size());
  for (std::size_t i = 0; i < v.size(); ++i)
    squares[i % g.size()] += static_cast<double>(v[i]) * static_cast<double>(v[i]);
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] *= static_cast<float>(static_cast<double>(g[i % g.size()]) / std::sqrt(squares[i % g.size()]));
  return v;
}

ScaleAndShift folded_batch_norm(std::vector<float> weight, std::vector<float> bias,
                                const std::vector<float>& mean, const std::vector<float>& variance) {
  for (std::size_t c = 0; c < weight.size(); ++c) {
    weight[c] = static_cast<float>(static_cast<double>(weight[c]) /
                                   std::sqrt(static_cast<double>(variance[c]) + batch_norm_eps));
    bias[c] -= mean[c] * weight[c];
  }
  return {std::move(weight), std::move(bias)};
}

LinearWeights upsampler_as_linear(const std::vector<float>& weight, const std::vector<float>& bias,
                                  int64_t in, int64_t factor) {
  const auto out = static_cast<int64_t>(bias.size());
  LinearWeights linear{std::vector<float>(weight.size()), {}};
  for (int64_t j = 0; j < factor; ++j) {
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        linear.weight[static_cast<std::size_t>((j * out + o) * in + i)] =
            weight[static_cast<std::size_t>((i * out + o) * factor + j)];
    linear.bias.insert(linear.bias.end(), bias.begin(), bias.end());
  }
  return linear;
}

}  // namespace retort
