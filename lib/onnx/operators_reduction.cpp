// Operators that look at all values along some axes: sums, extremes, norms. Sums are f64.
#include <cmath>
#include <optional>

#include "kernels/row_kernels.h"
#include "onnx/operators.h"
#include "onnx/strided_copy.h"

namespace retort {
namespace {

// Rows that a thread takes at least, so that they are worth handing over.
int64_t rows_at_least(int64_t width) {
  constexpr int64_t values_at_least = 16384;
  return std::max<int64_t>(1, values_at_least / std::max<int64_t>(width, 1));
}

// The order of axes that puts some of them behind the others.
std::vector<int64_t> order_with_last(const std::vector<bool>& last) {
  std::vector<int64_t> order;
  for (const bool wanted : {false, true})
    for (size_t axis = 0; axis < last.size(); ++axis)
      if (last[axis] == wanted) order.push_back(static_cast<int64_t>(axis));
  return order;
}

// A tensor as rows of the values that go into one outcome each.
struct Rows {
  const OnnxTensor* x = nullptr;
  std::optional<OnnxTensor> moved;  // the same with the reduced axes last, where they were not
  OnnxShape shape;                  // of the outcome
  int64_t count = 1;
  int64_t width = 1;

  const OnnxTensor& tensor() const { return moved ? *moved : *x; }
};

// Along all axes where none are named.
Rows rows_of(const OperatorCall& call, const std::vector<int64_t>& axes, bool keep_axes) {
  Rows rows;
  rows.x = &call.input(0);
  std::vector<bool> reduced(rows.x->shape.size(), axes.empty());
  for (const int64_t axis : axes) reduced[static_cast<size_t>(axis_of(axis, rows.x->axes()))] = true;
  for (size_t axis = 0; axis < reduced.size(); ++axis) {
    const int64_t size = rows.x->shape[axis];
    (reduced[axis] ? rows.width : rows.count) *= size;
    if (!reduced[axis] || keep_axes) rows.shape.push_back(reduced[axis] ? 1 : size);
  }
  if (!std::is_sorted(reduced.begin(), reduced.end()))
    rows.moved = transposed(call.compute(), *rows.x, order_with_last(reduced));
  return rows;
}

// What function(begin, end) makes of the values of each row.
template <class T, class R, class Function>
OnnxTensor of_each_row(const OperatorCall& call, const Rows& rows, const Function& function) {
  OnnxTensor out(rows.shape, std::vector<R>(static_cast<size_t>(rows.count)));
  const T* values = rows.tensor().template as<T>().data();
  std::vector<R>& to = out.as<R>();
  call.compute().for_each_run(rows.count, rows_at_least(rows.width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      to[static_cast<size_t>(row)] = function(values + row * rows.width, values + (row + 1) * rows.width);
  });
  return out;
}

double sum_of(const float* begin, const float* end) {
  double sum = 0;
  for (const float* value = begin; value != end; ++value) sum += *value;
  return sum;
}

struct Sum {
  float operator()(const float* begin, const float* end) const {
    return static_cast<float>(sum_of(begin, end));
  }
  template <class T>
  T operator()(const T* begin, const T* end) const {
    uint64_t sum = 0;  // which wraps around
    for (const T* value = begin; value != end; ++value) sum += static_cast<uint64_t>(*value);
    return static_cast<T>(sum);
  }
};
struct Mean {
  float operator()(const float* begin, const float* end) const {
    return static_cast<float>(sum_of(begin, end) / static_cast<double>(end - begin));
  }
  template <class T>
  T operator()(const T* begin, const T* end) const {
    if (begin == end) fail("whole numbers have no mean where there are none");
    return static_cast<T>(static_cast<int64_t>(Sum()(begin, end)) / (end - begin));
  }
};
struct Largest {
  template <class T>
  T operator()(const T* begin, const T* end) const {
    if (begin == end) fail("no value to choose from");
    return *std::max_element(begin, end);
  }
};
struct Smallest {
  template <class T>
  T operator()(const T* begin, const T* end) const {
    if (begin == end) fail("no value to choose from");
    return *std::min_element(begin, end);
  }
};

// Axes are an attribute or, of ReduceSum, an input.
template <class Function>
OnnxOutputs reduce(OperatorCall& call) {
  const std::vector<int64_t> axes = call.inputs() > 1 ? call.integers(1) : call.integers("axes");
  if (axes.empty() && call.integer("noop_with_empty_axes", 0) != 0) return call.take(0);
  const Rows rows = rows_of(call, axes, call.integer("keepdims", 1) != 0);
  OnnxTensor out;
  const OnnxType type = call.input(0).type;
  if (type == OnnxType::i64)
    out = of_each_row<int64_t, int64_t>(call, rows, Function());
  else if (type == OnnxType::i32)
    out = of_each_row<int32_t, int32_t>(call, rows, Function());
  else
    out = of_each_row<float, float>(call, rows, Function());
  out.type = type;
  return out;
}

// Place of the first extreme of each row, or of the last one.
template <class Better>
OnnxOutputs place_of_extreme(OperatorCall& call) {
  const Rows rows = rows_of(call, {call.integer("axis", 0)}, call.integer("keepdims", 1) != 0);
  const bool last = call.integer("select_last_index", 0) != 0;
  OnnxTensor out;
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        out = of_each_row<T, int64_t>(call, rows, [&](const T* begin, const T* end) {
          const T* best = begin;
          for (const T* value = begin; value != end; ++value)
            if (Better()(*value, *best) || (last && *value == *best)) best = value;
          return best - begin;
        });
      },
      call.input(0).values);
  return out;
}

// Sums of what came before along an axis, with or without the value itself, from either end.
template <class T>
void sum_up(std::vector<T>& values, int64_t outer, int64_t size, int64_t inner, bool exclusive,
            bool reverse) {
  for (int64_t row = 0; row < outer * inner; ++row) {
    T* const first = values.data() + row / inner * size * inner + row % inner;
    T sum{};
    for (int64_t i = 0; i < size; ++i) {
      T& here = first[(reverse ? size - 1 - i : i) * inner];
      const T value = here;
      here = exclusive ? sum : static_cast<T>(sum + value);
      sum = static_cast<T>(sum + value);
    }
  }
}

OnnxOutputs cumulative_sum(OperatorCall& call) {
  const std::vector<int64_t> axes = call.integers(1);
  if (axes.size() != 1) fail("it sums along one axis");
  OnnxTensor x = call.take(0);
  const int64_t axis = axis_of(axes.front(), x.axes());
  std::visit(
      [&](auto& values) {
        sum_up(values, sizes_between(x.shape, 0, axis), x.shape[static_cast<size_t>(axis)],
               sizes_between(x.shape, axis + 1, x.axes()), call.integer("exclusive", 0) != 0,
               call.integer("reverse", 0) != 0);
      },
      x.values);
  return x;
}

OnnxOutputs softmax(OperatorCall& call) {
  const int64_t last = call.input(0).axes() - 1;
  const int64_t axis = axis_of(call.integer("axis", -1), last + 1);
  if (call.input(0).size() == 0) return call.take(0);
  std::vector<int64_t> swapped;
  for (int64_t i = 0; i <= last; ++i) swapped.push_back(i == axis ? last : i == last ? axis : i);
  OnnxTensor x = axis == last ? call.take(0) : transposed(call.compute(), call.input(0), swapped);
  const int64_t width = x.shape.back();
  const int64_t count = sizes_between(x.shape, 0, last);
  float* values = x.as<float>().data();
  call.compute().for_each_run(count, rows_at_least(width), [&](int64_t begin, int64_t end) {
    softmax_rows(call.path(), values + begin * width, width, end - begin, width);
  });
  return axis == last ? std::move(x) : transposed(call.compute(), x, swapped);
}

OnnxOutputs layer_normalization(OperatorCall& call) {
  if (call.outputs() != 1) fail("its mean and deviation are not known here as outputs");
  OnnxTensor x = call.take(0);
  const int64_t axis = axis_of(call.integer("axis", -1), x.axes());
  LayerNorm norm;
  norm.width = sizes_between(x.shape, axis, x.axes());
  if (x.size() == 0) return x;
  norm.eps = call.real("epsilon", 1e-5f);
  norm.weight = call.input(1).as<float>().data();
  if (call.has(2)) norm.bias = call.input(2).as<float>().data();
  for (std::size_t i = 1; i < call.inputs(); ++i)
    if (call.has(i) && call.input(i).size() != norm.width)
      fail("scale and bias should have {} values", norm.width);
  float* values = x.as<float>().data();
  call.compute().for_each_run(
      sizes_between(x.shape, 0, axis), rows_at_least(norm.width), [&](int64_t begin, int64_t end) {
        float* rows = values + begin * norm.width;
        normalise_rows(call.path(), norm, rows, norm.width, end - begin, false, rows, norm.width);
      });
  return x;
}

// y = scale (x - mean) / sqrt(variance + eps) + bias, of each channel of each item by itself.
void normalise_channel(float* values, int64_t count, float scale, float bias, float eps) {
  const double mean = sum_of(values, values + count) / static_cast<double>(count);
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += (values[i] - mean) * (values[i] - mean);
  const double factor = scale / std::sqrt(squares / static_cast<double>(count) + eps);
  const double offset = bias - mean * factor;
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(values[i] * factor + offset);
}

OnnxOutputs instance_normalization(OperatorCall& call) {
  OnnxTensor x = call.take(0);
  const std::vector<float>& scale = call.input(1).as<float>();
  const std::vector<float>& bias = call.input(2).as<float>();
  if (x.axes() < 3) fail("an input of shape {} has no channels and frames", to_string(x.shape));
  const int64_t channels = x.shape[1];
  if (call.input(1).size() != channels || call.input(2).size() != channels)
    fail("scale and bias should have {} values", channels);
  const int64_t width = sizes_between(x.shape, 2, x.axes());
  const float eps = call.real("epsilon", 1e-5f);
  float* values = x.as<float>().data();
  call.compute().for_each_run(x.shape[0] * channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto channel = static_cast<size_t>(row % channels);
      normalise_channel(values + row * width, width, scale[channel], bias[channel], eps);
    }
  });
  return x;
}

}  // namespace

OperatorTable reduction_operators() {
  return {
      {"ArgMax", {place_of_extreme<std::greater<>>, {"axis", "keepdims", "select_last_index"}}},
      {"ArgMin", {place_of_extreme<std::less<>>, {"axis", "keepdims", "select_last_index"}}},
      {"CumSum", {cumulative_sum, {"exclusive", "reverse"}}},
      {"InstanceNormalization", {instance_normalization, {"epsilon"}}},
      {"LayerNormalization", {layer_normalization, {"axis", "epsilon", "stash_type"}}},
      {"ReduceMax", {reduce<Largest>, {"axes", "keepdims"}}},
      {"ReduceMean", {reduce<Mean>, {"axes", "keepdims"}}},
      {"ReduceMin", {reduce<Smallest>, {"axes", "keepdims"}}},
      {"ReduceSum", {reduce<Sum>, {"keepdims", "noop_with_empty_axes"}}},
      {"Softmax", {softmax, {"axis"}}},
  };
}

}  // namespace retort
