#include "measures/cholesky.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace retort {

Cholesky::Cholesky(std::vector<double> matrix, int64_t size) : size_(size), lower_(std::move(matrix)) {
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = 0; column <= row; ++column) {
      double rest = at(row, column);
      for (int64_t k = 0; k < column; ++k) rest -= at(row, k) * at(column, k);
      if (row == column && !(rest > 0)) fail("row {} of a matrix depends on those before it", row);
      at(row, column) = row == column ? std::sqrt(rest) : rest / at(column, column);
    }
  }
}

void Cholesky::solve(double* b) const {
  for (int64_t row = 0; row < size_; ++row) {
    for (int64_t k = 0; k < row; ++k) b[row] -= at(row, k) * b[k];
    b[row] /= at(row, row);
  }
  for (int64_t row = size_ - 1; row >= 0; --row) {
    b[row] /= at(row, row);
    for (int64_t k = 0; k < row; ++k) b[k] -= at(row, k) * b[row];
  }
}

}  // namespace retort
