// Weights as they are multiplied with, made of those that checkpoints keep; for every engine that computes
// without PyTorch's modules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace retort {

// Weight normalisation (Salimans and Kingma 2016) with one length per tap: g[k] v[:, :, k] / |v[:, :, k]|; v
// is (out, in, kernel), g has `kernel` values.
std::vector<float> weight_normed(std::vector<float> v, const std::vector<float>& g);

// BatchNorm outside of training: x * scale + shift, channel by channel.
struct ScaleAndShift {
  std::vector<float> scale, shift;
};
ScaleAndShift folded_batch_norm(std::vector<float> weight, std::vector<float> bias,
                                const std::vector<float>& mean, const std::vector<float>& variance);

// A matrix (rows, columns) as (columns, rows).
template <class Number>
std::vector<Number> transposed(const Number* matrix, int64_t rows, int64_t columns) {
  std::vector<Number> turned(static_cast<std::size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      turned[static_cast<std::size_t>(c * rows + r)] = matrix[r * columns + c];
  return turned;
}

// A linear layer.
struct LinearWeights {
  std::vector<float> weight;  // (out, in)
  std::vector<float> bias;    // (out)
};

// A transposed convolution whose windows of `factor` frames do not overlap, as a linear layer to all frames
// of a window, one after the other: frame j is the row times weight[:, :, j]; weight is (in, out, factor).
LinearWeights upsampler_as_linear(const std::vector<float>& weight, const std::vector<float>& bias,
                                  int64_t in, int64_t factor);

}  // namespace retort
