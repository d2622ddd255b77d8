// A dense row-major matrix of floats: rows are frames, columns dimensions.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace retort {

class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), values_(static_cast<size_t>(rows * columns)) {}
  // Takes over rows * columns values.
  Matrix(int64_t rows, int64_t columns, std::vector<float> values)
      : rows_(rows), columns_(columns), values_(std::move(values)) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  std::span<float> row(int64_t index) { return {data() + index * columns_, static_cast<size_t>(columns_)}; }
  std::span<const float> row(int64_t index) const {
    return {data() + index * columns_, static_cast<size_t>(columns_)};
  }
  float& operator()(int64_t row, int64_t column) { return data()[row * columns_ + column]; }
  float operator()(int64_t row, int64_t column) const { return data()[row * columns_ + column]; }
  std::span<const float> values() const { return values_; }

 private:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  std::vector<float> values_;
};

}  // namespace retort
