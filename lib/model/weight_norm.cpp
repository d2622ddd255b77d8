#include "model/weight_norm.h"

#include <cmath>
#include <cstddef>

namespace retort {

std::vector<float> weight_normed(std::vector<float> v, const std::vector<float>& g) {
  std::vector<double> squares(g.size());
  for (std::size_t i = 0; i < v.size(); ++i)
    squares[i % g.size()] += static_cast<double>(v[i]) * static_cast<double>(v[i]);
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] *= static_cast<float>(static_cast<double>(g[i % g.size()]) / std::sqrt(squares[i % g.size()]));
  return v;
}

}  // namespace retort
