// The positional convolution's weight as checkpoints keep it, and as it is multiplied with.
#pragma once

#include <vector>

namespace retort {

// Weight normalisation (Salimans and Kingma 2016) with one length per tap: g[k] v[:, :, k] / |v[:, :, k]|; v
// is (out, in, kernel), g has `kernel` values.
std::vector<float> weight_normed(std::vector<float> v, const std::vector<float>& g);

}  // namespace retort
