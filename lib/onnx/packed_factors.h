// The right-hand sides of products as nodes keep them: packed for kernels/product.h, one for each item of a
// batch or each group of a convolution.
#pragma once

#include <cstdint>
#include <vector>

#include "base/pages.h"
#include "kernels/product.h"
#include "onnx/operators.h"

namespace retort {

// Where the values of matrices are: value k of column c of matrix b at
// values + b * matrix_stride + c * column_stride + k * depth_stride.
struct FactorValues {
  const float* values = nullptr;
  int64_t matrices = 1;
  int64_t depth = 0;
  int64_t columns = 0;
  int64_t matrix_stride = 0;
  int64_t column_stride = 0;
  int64_t depth_stride = 0;
};

// Rows of a product. `bias` is of f32 products alone.
struct FactorRows {
  const float* values = nullptr;
  int64_t stride = 0;
  int64_t count = 0;
  const float* bias = nullptr;
};

class PackedFactors {
 public:
  PackedFactors() = default;
  // `shape` is what the operator wants to know again of the tensor that the values are from.
  PackedFactors(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape);
  // Of whole numbers, at most `largest` in size, whose products with others of at most nine bits are to be
  // exact: the depth is cut into blocks whose sums f32 still holds.
  static PackedFactors exact(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape);

  const OnnxShape& shape() const { return shape_; }
  int64_t matrices() const { return matrices_; }
  int64_t depth() const { return depth_; }
  int64_t columns() const { return columns_; }

  // out = rows * matrix + bias.
  void multiply(CpuPath path, int64_t matrix, const FactorRows& rows, float* out, int64_t out_stride) const;
  // The same of whole numbers, wrapping around as int32 does.
  void multiply(CpuPath path, int64_t matrix, const FactorRows& rows, int32_t* out, int64_t out_stride) const;

 private:
  PackedFactors(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape, int64_t block);
  const Panels& panels(int64_t matrix, int64_t block) const {
    return panels_[static_cast<size_t>(matrix * blocks_ + block)];
  }

  OnnxShape shape_;
  int64_t matrices_ = 0;
  int64_t depth_ = 0;
  int64_t columns_ = 0;
  int64_t block_ = 0;   // values of the depth that are multiplied together
  int64_t blocks_ = 0;  // of each matrix
  Pages pages_;
  std::vector<Panels> panels_;
};

}  // namespace retort
