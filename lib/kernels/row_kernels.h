// What networks do with rows between products.
#pragma once

#include <cstdint>

#include "kernels/cpu_path.h"

namespace retort {

// LayerNorm over the `width` values of each row: (x - mean) / sqrt(variance + eps) * weight + bias.
struct LayerNorm {
  const float* weight = nullptr;  // width, or null: ones
  const float* bias = nullptr;    // width, or null: zeros
  int64_t width = 0;
  float eps = 1e-5f;
};

// `out` may be `rows`. With `gelu`, of the outcome.
void normalise_rows(CpuPath path, const LayerNorm& norm, const float* rows, int64_t stride, int64_t count,
                    bool gelu, float* out, int64_t out_stride);

// x/2 (1 + erf(x / sqrt 2)), in place.
void gelu_values(CpuPath path, float* values, int64_t count);

// Softmax over the first `width` values of each row, in place.
void softmax_rows(CpuPath path, float* rows, int64_t stride, int64_t count, int64_t width);

// One step of a layer of LSTM cells (PyTorch's order of gates: input, forget, cell, output): gates (4 units)
// are sums before activation; cells (units) are updated, outputs (units) written.
void step_lstm_cells(CpuPath path, const float* gates, int64_t units, float* cells, float* outputs);

}  // namespace retort
