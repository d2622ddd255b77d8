#include "onnx/packed_factors.h"

#include <cmath>

namespace retort {
namespace {

// Rows are numbers of eight bits less a zero point of eight bits.
constexpr float largest_of_rows = 255;
// f32 holds every whole number up to this.
constexpr float largest_exact = 1 << 24;

// Depth over which products with these values add up to what f32 holds.
int64_t exact_block(const FactorValues& from) {
  float largest = 1;
  for (int64_t b = 0; b < from.matrices; ++b)
    for (int64_t c = 0; c < from.columns; ++c)
      for (int64_t k = 0; k < from.depth; ++k)
        largest = std::max(
            largest,
            std::abs(from.values[b * from.matrix_stride + c * from.column_stride + k * from.depth_stride]));
  return static_cast<int64_t>(largest_exact / (largest_of_rows * largest));
}

}  // namespace

PackedFactors::PackedFactors(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape)
    : PackedFactors(compute, from, std::move(shape), from.depth) {}

PackedFactors PackedFactors::exact(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape) {
  return PackedFactors(compute, from, std::move(shape), exact_block(from));
}

PackedFactors::PackedFactors(const OnnxCompute& compute, const FactorValues& from, OnnxShape shape,
                             int64_t block)
    : shape_(std::move(shape)),
      matrices_(from.matrices),
      depth_(from.depth),
      columns_(from.columns),
      block_(std::max<int64_t>(1, block)),
      blocks_((from.depth + block_ - 1) / block_),
      panels_(static_cast<size_t>(matrices_ * blocks_)) {
  if (panels_.empty() || columns_ == 0) return;
  const int64_t bytes = panel_bytes(std::min(block_, depth_), columns_, Precision::f32);
  pages_ = Pages(static_cast<size_t>(bytes) * panels_.size());
  compute.team.run(panels_.size(), [&](std::size_t index) {
    const int64_t matrix = static_cast<int64_t>(index) / blocks_;
    const int64_t first = static_cast<int64_t>(index) % blocks_ * block_;
    const float* values = from.values + matrix * from.matrix_stride + first * from.depth_stride;
    panels_[index] =
        pack_panels(values, from.column_stride, from.depth_stride, std::min(block_, depth_ - first), columns_,
                    Precision::f32, pages_.data() + static_cast<int64_t>(index) * bytes);
  });
}

void PackedFactors::multiply(CpuPath path, int64_t matrix, const FactorRows& rows, float* out,
                             int64_t out_stride) const {
  if (columns_ == 0) return;
  if (depth_ == 0) {
    for (int64_t r = 0; r < rows.count; ++r)
      for (int64_t c = 0; c < columns_; ++c) out[r * out_stride + c] = rows.bias ? rows.bias[c] : 0;
    return;
  }
  Product product;
  product.rows = rows.values;
  product.row_stride = rows.stride;
  product.count = rows.count;
  product.bias = rows.bias;
  product.out = out;
  product.out_stride = out_stride;
  retort::multiply(path, panels(matrix, 0), product);
}

void PackedFactors::multiply(CpuPath path, int64_t matrix, const FactorRows& rows, int32_t* out,
                             int64_t out_stride) const {
  static thread_local std::vector<float> sums;
  sums.resize(static_cast<size_t>(rows.count * columns_));
  for (int64_t r = 0; r < rows.count; ++r) std::fill_n(out + r * out_stride, columns_, 0);
  for (int64_t block = 0; block < blocks_ && columns_ > 0; ++block) {
    Product product;
    product.rows = rows.values + block * block_;
    product.row_stride = rows.stride;
    product.count = rows.count;
    product.out = sums.data();
    product.out_stride = columns_;
    retort::multiply(path, panels(matrix, block), product);
    for (int64_t r = 0; r < rows.count; ++r)
      for (int64_t c = 0; c < columns_; ++c) {
        int32_t& to = out[r * out_stride + c];
        const auto sum = static_cast<int32_t>(sums[static_cast<size_t>(r * columns_ + c)]);
        to = static_cast<int32_t>(static_cast<uint32_t>(to) + static_cast<uint32_t>(sum));
      }
  }
}

}  // namespace retort
