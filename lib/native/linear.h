// Layers of a network as rows go through them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/product.h"
#include "kernels/quantised_product.h"
#include "kernels/row_kernels.h"
#include "model/model_source.h"

namespace retort {

// The tensors of a model, read as layers ask for them; each is handed out once. What is asked for in order of
// name is not in memory longer than it takes to pack it.
class WeightTable {
 public:
  // The source must outlive the table.
  explicit WeightTable(const ModelSource& source) : source_(source), stream_(source) {}
  bool has(const std::string& name) const { return source_.tensors.contains(name); }
  // Empty where there is no such tensor.
  std::vector<float> take(const std::string& name);
  // Reads what nobody asked for; the model's hash.
  std::string finish();

 private:
  const ModelSource& source_;
  ModelStream stream_;
  std::map<std::string, std::vector<float>> passed_;  // on the way to others
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
