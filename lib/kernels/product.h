// Products of rows with a matrix that was packed once, and what networks do with the outcome while it is in
// cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/pages.h"
#include "kernels/cpu_path.h"

namespace retort {

// How products are computed. Sums, and all that is not a product, are f32; int8 is quantised_product.h's.
enum class Precision { f32, bf16, int8 };

std::string to_string(Precision precision);
// A usage Error for another name than "f32", "bf16" and "int8".
Precision parse_precision(const std::string& name);

// Whether `path` has what it takes; without instructions for it, bf16 would be slower than f32.
bool has_precision(CpuPath path, Precision precision);

// The right-hand side of products, (depth, columns), in panels of sixteen columns; a view. In bf16, panels
// hold pairs of a column's values side by side.
struct Panels {
  int64_t depth = 0;
  int64_t columns = 0;
  Precision precision = Precision::f32;
  const std::byte* data = nullptr;

  // Values from one panel to the next.
  int64_t panel_size() const;
};

// Bytes that panels of this size take.
int64_t panel_bytes(int64_t depth, int64_t columns, Precision precision);

// Packs into `to`, which has room for panel_bytes(). `values`: value k of column c at
// values + c * column_stride + k * depth_stride.
Panels pack_panels(const float* values, int64_t column_stride, int64_t depth_stride, int64_t depth,
                   int64_t columns, Precision precision, std::byte* to);

// Panels with memory of their own, f32 or bf16.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // `columns` columns of `depth` values each; column c is at values + c * depth. That is how PyTorch keeps
  // the weight of a linear layer.
  PackedMatrix(const float* values, int64_t depth, int64_t columns, Precision precision);

  const Panels& panels() const { return panels_; }

 private:
  Pages pages_;
  Panels panels_;
};

// out = activation(rows * matrix + bias) + residual, row by row. A row's outcome does not depend on the
// others.
struct Product {
  const float* rows = nullptr;  // matrix.depth values each; rows may overlap
  int64_t row_stride = 0;
  int64_t count = 0;
  const float* bias = nullptr;      // or null: none
  bool gelu = false;                // x/2 (1 + erf(x / sqrt 2))
  const float* residual = nullptr;  // or null: none; may be `out`
  int64_t residual_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
};

// On the calling thread, with the kernels of `path`.
void multiply(CpuPath path, const Panels& matrix, const Product& product);

}  // namespace retort
