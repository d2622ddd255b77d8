// Layers of a network as rows go through them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/product.h"
#include "kernels/quantised_product.h"
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

// What a network computes with.
struct NetworkPrecision {
  Precision weights;  // products with weights
  Precision others;   // products that lose more by eight bits than they gain: attention's, positions',
                      // recurrent ones
};
NetworkPrecision network_precision(CpuPath path, Precision precision);

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
  // `weight` is (out, in), as PyTorch keeps it; `bias` is empty or has `out` values. In int8, `segment`
  // values of a row have one range (kernels/quantised_product.h); 0: all of them.
  Linear(const float* weight, int64_t in, int64_t out, std::vector<float> bias, Precision precision,
         int64_t segment = 0);
  // `name`.weight and `name`.bias, which may be missing.
  Linear(WeightTable& weights, const std::string& name, int64_t in, Precision precision);

  bool empty() const { return out_ == 0; }
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  void apply(CpuPath path, const RowSpan& x, const RowSpan& y, const Then& then) const;
  void apply(CpuPath path, const RowSpan& x, const RowSpan& y) const { apply(path, x, y, Then()); }

 private:
  int64_t in_ = 0;
  int64_t out_ = 0;
  PackedMatrix matrix_;
  QuantisedMatrix quantised_;  // in its place in int8
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
