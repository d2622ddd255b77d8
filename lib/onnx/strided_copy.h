// Copies of tensors whose axes are walked through in another order, in steps, backwards or not at all.
#pragma once

#include <algorithm>
#include <vector>

#include "onnx/broadcast.h"

namespace retort {

// An axis of a transposition: values along it lie next to each other in what is read, not in what is written.
// Blocks of so many by so many values are copied together, or each would fetch a line of memory for itself.
inline constexpr int64_t transposed_block = 16;

// (rows, columns) values: row r, column c from `from` + r + c * from_stride to `to` + r * to_stride + c.
template <class T>
void transpose_plane(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to,
                     int64_t to_stride) {
  for (int64_t c0 = 0; c0 < columns; c0 += transposed_block) {
    const int64_t c1 = std::min(columns, c0 + transposed_block);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = c0; c < c1; ++c) to[r * to_stride + c] = from[r + c * from_stride];
  }
}

// Writes a row-major tensor of `shape`, whose value at i1, i2, ... is from[i1 * strides1 + i2 * strides2 +
// ...].
template <class T>
void copy_strided(const OnnxCompute& compute, const T* from, const OnnxShape& shape,
                  const std::vector<int64_t>& strides, T* to) {
  constexpr int64_t values_at_least = 16384;
  const Walk<1> walk(shape, {strides});
  const int64_t stride = walk.strides().back()[0];
  const size_t axes = walk.sizes().size();
  if (walk.count() == 0) return;
  if (axes >= 2 && stride != 1 && walk.strides()[axes - 2][0] == 1) {
    // Whole planes of the last two axes, in bands so that one plane keeps all threads busy.
    const int64_t rows = walk.sizes()[axes - 2];
    const int64_t columns = walk.sizes()[axes - 1];
    compute.for_each_run(
        walk.count() / columns, std::max<int64_t>(1, values_at_least / columns),
        [&](int64_t begin, int64_t end) {
          while (begin < end) {
            const int64_t some = std::min(end - begin, rows - begin % rows);
            walk.run(begin * columns, begin * columns + 1, [&](int64_t first, const auto& offsets, int64_t) {
              transpose_plane(from + offsets[0], stride, some, columns, to + first, columns);
            });
            begin += some;
          }
        });
    return;
  }
  compute.for_each_run(walk.count(), values_at_least, [&](int64_t begin, int64_t end) {
    walk.run(begin, end, [&](int64_t first, const auto& offsets, int64_t n) {
      const T* run = from + offsets[0];
      if (stride == 1)
        std::copy_n(run, n, to + first);
      else
        for (int64_t i = 0; i < n; ++i) to[first + i] = run[i * stride];
    });
  });
}

// The same of a tensor, from the value at `offset`.
inline OnnxTensor strided_copy(const OnnxCompute& compute, const OnnxTensor& from, int64_t offset,
                               const OnnxShape& shape, const std::vector<int64_t>& strides) {
  OnnxTensor to(from.type, shape);
  std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        copy_strided(compute, values.data() + offset, shape, strides, to.as<T>().data());
      },
      from.values);
  return to;
}

// Strides of a row-major tensor.
inline std::vector<int64_t> row_major_strides(const OnnxShape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

// `perm`: which axis of `from` each axis of the outcome is.
inline OnnxTensor transposed(const OnnxCompute& compute, const OnnxTensor& from,
                             const std::vector<int64_t>& perm) {
  const std::vector<int64_t> strides = row_major_strides(from.shape);
  OnnxShape shape;
  std::vector<int64_t> turned;
  for (const int64_t axis : perm) {
    shape.push_back(from.shape[static_cast<size_t>(axis)]);
    turned.push_back(strides[static_cast<size_t>(axis)]);
  }
  return strided_copy(compute, from, 0, shape, turned);
}

}  // namespace retort
