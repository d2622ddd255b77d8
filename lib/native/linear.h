// Layers of a network as rows go through them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/product.h"
#include "kernels/row_kernels.h"
#include "model/weights.h"

namespace retort {

// Tensors that wait for the layer that they become part of; each is handed out once, so that no weight is in
// memory twice for long.
class WeightTable {
 public:
  explicit WeightTable(std::map<std::string, NamedTensor> tensors) : tensors_(std::move(tensors)) {}
  bool has(const std::string& name) const { return tensors_.contains(name); }
  // Empty where there is no such tensor.
  std::vector<float> take(const std::string& name);

 private:
  std::map<std::string, NamedTensor> tensors_;
};

// Rows of a matrix, or of a part of its columns.
struct RowSpan {
  float* values = nullptr;
  int64_t stride = 0;
  int64_t count = 0;

  RowSpan rows(int64_t first, int64_t some) const { return {values + first * stride, stride, some}; }
  RowSpan columns(int64_t first) const { return {values + first, stride, count}; }
  float* row(int64_t index) const { return values + index * stride; }
};

// y = x W + b, with what may follow.
class Linear {
 public:
  struct Then {
    bool gelu = false;
    RowSpan add;  // to the outcome; none where it has no values
  };

  Linear() = default;
  Linear(PackedMatrix matrix, std::vector<float> bias) : matrix_(std::move(matrix)), bias_(std::move(bias)) {}
  // PyTorch's `name`.weight, (out, in), and `name`.bias, which may be missing.
  Linear(WeightTable& weights, const std::string& name, int64_t in, Precision precision);
  // Several of the same input as one, their outputs side by side.
  Linear(WeightTable& weights, const std::vector<std::string>& names, int64_t in, Precision precision);

  bool empty() const { return matrix_.panels().columns == 0; }
  int64_t in() const { return matrix_.panels().depth; }
  int64_t out() const { return matrix_.panels().columns; }
  void apply(CpuPath path, const RowSpan& x, const RowSpan& y, const Then& then) const;
  void apply(CpuPath path, const RowSpan& x, const RowSpan& y) const { apply(path, x, y, Then()); }

 private:
  PackedMatrix matrix_;
  std::vector<float> bias_;
};

// LayerNorm with its weights.
class Norm {
 public:
  Norm() = default;
  Norm(WeightTable& weights, const std::string& name, double eps);

  bool empty() const { return weight_.empty(); }
  void apply(CpuPath path, const RowSpan& x, const RowSpan& y, bool gelu = false) const;

 private:
  std::vector<float> weight_, bias_;
  float eps_ = 0;
};

}  // namespace retort
