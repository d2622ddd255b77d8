// Products of matrices, in f32 and of whole numbers. Those of whole numbers are exact, so that they may be
// computed in f32 as well (packed_factors.h).
#include "onnx/broadcast.h"
#include "onnx/operators.h"
#include "onnx/packed_factors.h"
#include "onnx/strided_copy.h"

namespace retort {
namespace {

constexpr int64_t rows_at_once = 64;  // what a product keeps in the caches

// ---- MatMul.

// The axes before the last two.
OnnxShape batch_of(const OnnxShape& shape) {
  return {shape.begin(), shape.end() - 2};
}

// A vector as a matrix: a row on the left, a column on the right.
OnnxShape as_matrix(OnnxShape shape, bool left) {
  if (shape.empty()) fail("a single value is no matrix");
  if (shape.size() == 1) shape.insert(left ? shape.begin() : shape.end(), 1);
  return shape;
}

// (..., depth, columns) in a row-major tensor, whatever the values are.
FactorValues right_factors(const OnnxShape& shape, const float* values) {
  FactorValues from;
  from.values = values;
  from.depth = shape[shape.size() - 2];
  from.columns = shape.back();
  from.matrices = value_count(batch_of(shape));
  from.matrix_stride = from.depth * from.columns;
  from.column_stride = 1;
  from.depth_stride = from.columns;
  return from;
}

// Which matrices of left and right make each matrix of the outcome.
struct Pairing {
  OnnxShape batch;  // of the outcome
  std::vector<std::pair<int64_t, int64_t>> pairs;
};

Pairing pairing_of(const OnnxShape& left, const OnnxShape& right) {
  Pairing pairing;
  pairing.batch = broadcast_shape(left, right);
  const Walk<2> walk(pairing.batch,
                     {broadcast_strides(left, pairing.batch), broadcast_strides(right, pairing.batch)});
  walk.run(0, walk.count(), [&](int64_t, const auto& offsets, int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      pairing.pairs.emplace_back(offsets[0] + i * walk.strides().back()[0],
                                 offsets[1] + i * walk.strides().back()[1]);
  });
  return pairing;
}

// `left` is (..., rows, depth); T is float or, of exact factors, int32_t.
template <class T>
OnnxTensor matrix_product(const OperatorCall& call, const float* left, const OnnxShape& left_shape,
                          const PackedFactors& factors) {
  const OnnxShape a = as_matrix(left_shape, true);
  const OnnxShape b = as_matrix(factors.shape(), false);
  if (a.back() != factors.depth())
    fail("{} and {} cannot be multiplied", to_string(left_shape), to_string(factors.shape()));
  Pairing pairing = pairing_of(batch_of(a), batch_of(b));
  OnnxShape shape = pairing.batch;
  int64_t rows = a[a.size() - 2];
  if (left_shape.size() > 1) shape.push_back(rows);
  if (factors.shape().size() > 1) shape.push_back(factors.columns());
  if (factors.matrices() == 1) {  // all rows of the left-hand side are rows of one matrix
    rows *= static_cast<int64_t>(pairing.pairs.size());
    pairing.pairs.assign(1, {0, 0});
  }
  OnnxTensor out(OnnxTypeOf<T>::type, shape);
  T* const to = out.as<T>().data();
  const int64_t runs = (rows + rows_at_once - 1) / rows_at_once;
  call.compute().team.run(pairing.pairs.size() * static_cast<size_t>(runs), [&](std::size_t task) {
    const int64_t item = static_cast<int64_t>(task) / runs;
    const int64_t first = static_cast<int64_t>(task) % runs * rows_at_once;
    const auto [left_item, right_item] = pairing.pairs[static_cast<size_t>(item)];
    FactorRows some;
    some.values = left + (left_item * rows + first) * factors.depth();
    some.stride = factors.depth();
    some.count = std::min(rows_at_once, rows - first);
    factors.multiply(call.path(), right_item, some, to + (item * rows + first) * factors.columns(),
                     factors.columns());
  });
  return out;
}

OnnxOutputs matmul(OperatorCall& call) {
  const auto& factors = call.prepared<PackedFactors>({1}, [&] {
    const OnnxTensor& b = call.input(1);
    return PackedFactors(call.compute(), right_factors(as_matrix(b.shape, false), b.as<float>().data()),
                         b.shape);
  });
  const OnnxTensor& a = call.input(0);
  OnnxTensor out = matrix_product<float>(call, a.as<float>().data(), a.shape, factors);
  out.type = a.type;
  return out;
}

// alpha * A' B' + beta * C.
OnnxOutputs gemm(OperatorCall& call) {
  const bool turn_right = call.integer("transB", 0) != 0;
  const auto& factors = call.prepared<PackedFactors>({1}, [&] {
    const OnnxTensor& b = call.input(1);
    if (b.axes() != 2) fail("{} is no matrix", to_string(b.shape));
    OnnxShape shape = b.shape;
    FactorValues from = right_factors(shape, b.as<float>().data());
    if (turn_right) {
      std::swap(shape[0], shape[1]);
      std::swap(from.depth, from.columns);
      std::swap(from.depth_stride, from.column_stride);
    }
    return PackedFactors(call.compute(), from, shape);
  });
  const OnnxTensor& a = call.input(0);
  if (a.axes() != 2) fail("{} is no matrix", to_string(a.shape));
  const bool turn_left = call.integer("transA", 0) != 0;
  const OnnxTensor turned = turn_left ? transposed(call.compute(), a, {1, 0}) : OnnxTensor();
  const OnnxTensor& left = turn_left ? turned : a;
  OnnxTensor out = matrix_product<float>(call, left.as<float>().data(), left.shape, factors);
  out.type = a.type;
  const float alpha = call.real("alpha", 1);
  const float beta = call.real("beta", 1);
  std::vector<float>& values = out.as<float>();
  if (alpha != 1)
    for (float& value : values) value *= alpha;
  if (!call.has(2)) return out;
  const OnnxTensor& c = call.input(2);
  if (broadcast_shape(c.shape, out.shape) != out.shape)
    fail("C of {} does not go with {}", to_string(c.shape), to_string(out.shape));
  const Walk<1> walk(out.shape, {broadcast_strides(c.shape, out.shape)});
  walk.run(0, walk.count(), [&](int64_t first, const auto& offsets, int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      values[static_cast<size_t>(first + i)] +=
          beta * c.as<float>()[static_cast<size_t>(offsets[0] + i * walk.strides().back()[0])];
  });
  return out;
}

// ---- Whole numbers.

void require_one_zero_point(const OperatorCall& call, std::size_t index) {
  if (call.has(index) && call.input(index).size() != 1)
    fail("several zero points of input {} are not known here", index - 2);
}

void require_zero_points(const OperatorCall& call, std::size_t index, int64_t several) {
  if (call.has(index) && call.input(index).size() != 1 && call.input(index).size() != several)
    fail("{} zero points for {} columns", call.input(index).size(), several);
}

OnnxOutputs matmul_integer(OperatorCall& call) {
  std::vector<std::size_t> of{1};
  if (call.inputs() > 3) of.push_back(3);
  const auto& factors = call.prepared<PackedFactors>(of, [&] {
    const OnnxShape shape = as_matrix(call.input(1).shape, false);
    require_zero_points(call, 3, shape.back());
    const std::vector<float> values = without_zero_point(call, 1, 3, 1);
    return PackedFactors::exact(call.compute(), right_factors(shape, values.data()), call.input(1).shape);
  });
  require_one_zero_point(call, 2);
  const std::vector<float> rows = without_zero_point(call, 0, 2, 1);
  return matrix_product<int32_t>(call, rows.data(), call.input(0).shape, factors);
}

}  // namespace

OperatorTable matrix_operators() {
  return {
      {"Gemm", {gemm, {"alpha", "beta", "transA", "transB"}}},
      {"MatMul", {matmul}},
      {"MatMulInteger", {matmul_integer}},
  };
}

}  // namespace retort
