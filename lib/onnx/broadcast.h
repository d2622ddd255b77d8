// Walks through tensors whose shapes are broadcast to a common one, as NumPy does it.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "onnx/operators.h"

namespace retort {

// The shape that two have in common: sizes are aligned at the last axis, and a size of 1 stretches.
inline OnnxShape broadcast_shape(const OnnxShape& a, const OnnxShape& b) {
  OnnxShape shape(std::max(a.size(), b.size()));
  for (size_t i = 0; i < shape.size(); ++i) {  // from the last axis
    const int64_t one = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t other = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (one != other && one != 1 && other != 1)
      fail("shapes {} and {} do not go together", to_string(a), to_string(b));
    shape[shape.size() - 1 - i] = one == 1 ? other : one;
  }
  return shape;
}

// How far apart values that follow each other along each axis of `shape` are in a row-major tensor that is
// broadcast to it.
inline std::vector<int64_t> broadcast_strides(const OnnxShape& tensor, const OnnxShape& shape) {
  std::vector<int64_t> strides(shape.size(), 0);
  int64_t stride = 1;
  for (size_t i = 0; i < tensor.size() && i < shape.size(); ++i) {  // from the last axis
    const int64_t size = tensor[tensor.size() - 1 - i];
    if (size != 1) strides[shape.size() - 1 - i] = stride;
    stride *= size;
  }
  return strides;
}

// Several operands over one shape. Axes that all of them walk through evenly are merged, so that the last
// one is as long as can be.
template <std::size_t Operands>
class Walk {
 public:
  using Offsets = std::array<int64_t, Operands>;

  // `strides`: of each operand, for each axis of `shape`.
  Walk(const OnnxShape& shape, const std::array<std::vector<int64_t>, Operands>& strides) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      Offsets here{};
      for (size_t o = 0; o < Operands; ++o) here[o] = strides[o][axis];
      if (shape[axis] != 1) append(shape[axis], here);
    }
    if (sizes_.empty()) append(1, Offsets{});
    for (const int64_t size : sizes_) count_ *= size;
  }

  int64_t count() const { return count_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }
  const std::vector<Offsets>& strides() const { return strides_; }

  // Calls body(first, offsets, n) for runs along the last axis that make up the values [begin, end) of the
  // common shape: `first` is the place in it, offsets are those of the operands.
  template <class Body>
  void run(int64_t begin, int64_t end, const Body& body) const {
    const int64_t inner = sizes_.back();
    while (begin < end) {
      int64_t row = begin / inner;
      const int64_t column = begin % inner;
      const int64_t n = std::min(inner - column, end - begin);
      Offsets offsets{};
      for (size_t o = 0; o < Operands; ++o) offsets[o] = column * strides_.back()[o];
      for (size_t axis = sizes_.size() - 1; axis-- > 0; row /= sizes_[axis])
        for (size_t o = 0; o < Operands; ++o) offsets[o] += row % sizes_[axis] * strides_[axis][o];
      body(begin, offsets, n);
      begin += n;
    }
  }

 private:
  void append(int64_t size, const Offsets& here) {
    bool even = !sizes_.empty();
    for (size_t o = 0; even && o < Operands; ++o) even = strides_.back()[o] == here[o] * size;
    if (even) {
      sizes_.back() *= size;
      strides_.back() = here;
    } else {
      sizes_.push_back(size);
      strides_.push_back(here);
    }
  }

  std::vector<int64_t> sizes_;
  std::vector<Offsets> strides_;
  int64_t count_ = 1;
};

}  // namespace retort
